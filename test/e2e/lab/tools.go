//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tools are the built programs of the repository.
type Tools struct {
	root string // of the repository
	bin  string // the binaries
}

// NewTools finds the programs in bin/, or in the folder that E2E_BIN names.
func NewTools() (*Tools, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	t := &Tools{root: root, bin: os.Getenv("E2E_BIN")}
	if t.bin == "" {
		t.bin = filepath.Join(root, "bin")
	}
	return t, nil
}

// Bin returns the path of a program of the product or the cluster.
func (t *Tools) Bin(name string) string { return filepath.Join(t.bin, name) }

// Tool runs bin/cluster and returns its standard output.
func (t *Tools) Tool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, t.Bin("cluster"), args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("cluster %s: %w\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out), nil
}

// repository returns the folder with the go.mod of the product.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "test", "e2e")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("not in the repository")
}
