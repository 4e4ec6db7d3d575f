package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

// ImageFiles lists the image archives of a folder.
func ImageFiles(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return nil, err
	}
	for _, needed := range []string{"pause.tar", "coredns.tar"} {
		if _, err := os.Stat(filepath.Join(dir, needed)); err != nil {
			return nil, fmt.Errorf("image %s is missing: run `make images`", filepath.Join(dir, needed))
		}
	}
	return files, nil
}

// LoadImages puts image archives into a node's container store.
func LoadImages(ctx context.Context, node space.Space, files []string) error {
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("load image: %w", err)
		}
		// The archive comes through stdin: its path may not exist on the node.
		cmd := exec.CommandContext(ctx, "ctr", "--namespace=k8s.io", "images", "import", "-")
		cmd.Stdin = f
		var out []byte
		err = node.Do(func() (err error) {
			out, err = cmd.CombinedOutput()
			return err
		})
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("load image %s: %w: %s", file, err, out)
		}
	}
	return nil
}

// Load puts image archives into every node of a running cluster.
func Load(ctx context.Context, name string, files []string) error {
	c, group, err := Open(name)
	if err != nil {
		return err
	}
	var failed []error
	for _, n := range c.AllNodes() {
		p, err := Component(c, group, n, "containerd")
		if err == nil {
			err = LoadImages(ctx, p.Space, files)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
