// Package action holds what the verbs of the cluster tool do: one file for
// each action, and `up` as a list of them.
package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/cgroup"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/component"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

const hubName = "hub"

// Open loads a cluster that exists.
func Open(name string) (plan.Cluster, cgroup.Tree, error) {
	if err := plan.CheckName("cluster", name); err != nil {
		return plan.Cluster{}, cgroup.Tree{}, err
	}
	group, err := cgroup.Open(plan.CgroupRoot, name)
	if err != nil {
		return plan.Cluster{}, group, err
	}
	c, err := plan.Load(plan.StateRoot(), name)
	if errors.Is(err, os.ErrNotExist) {
		return c, group, fmt.Errorf("there is no cluster %q: run `cluster up --name %s`", name, name)
	}
	return c, group, err
}

// Component finds a component of a cluster, running or not.
func Component(c plan.Cluster, group cgroup.Tree, node plan.Node, name string) (component.Component, error) {
	s, ok := space.Find(group, node.Name)
	if !ok {
		return component.Component{}, fmt.Errorf("%s of cluster %s is dead: run `cluster up --name %s`", node.Name, c.Name, c.Name)
	}
	return component.Component{Name: name, Node: node, Cluster: c, Space: s}, nil
}

// lock makes the folder and takes its lock, which dies with the process. The
// folder may be deleted while we wait; then there is a new one to lock.
func lock(ctx context.Context, dir string, waiting func()) (io.Closer, error) {
	for first := true; ; first = false {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(f, dir) {
			return f, nil
		}
		_ = f.Close()
		if err != nil && err != unix.EWOULDBLOCK {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if first && waiting != nil {
			waiting()
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// write stores a file and the folders above it.
func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
