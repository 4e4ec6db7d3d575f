// Package component starts, finds and kills the programs of a cluster. There
// is no supervisor and there are no pid files: a component runs if its control
// group holds a process of its name.
package component

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/config"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/kube"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

// Component is one program on one node.
type Component struct {
	Name    string
	Node    plan.Node
	Cluster plan.Cluster
	Space   space.Space
}

// PID is the component's process, or 0.
func (p Component) PID() int { return p.Space.Process(p.Name, p.Name) }

// Log is the file that it writes to.
func (p Component) Log() string { return p.Cluster.Log(p.Node.Name, p.Name) }

// Start starts the component unless it runs, and reports whether it did.
func (p Component) Start() (bool, error) {
	if p.PID() != 0 {
		return false, nil
	}
	args, err := config.Args(p.Cluster, p.Node, p.Name)
	if err != nil {
		return false, err
	}
	group := p.Space.Group.Sub(p.Name)
	if err := group.Create(); err != nil {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(p.Log()), 0o755); err != nil {
		return false, err
	}
	log, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	defer log.Close()
	path := "/proc/self/exe"
	if !kube.Has(p.Name) {
		if path, err = exec.LookPath(p.Name); err != nil {
			return false, err
		}
	}
	cmd := &exec.Cmd{
		Path: path, Args: append([]string{p.Name}, args...), Dir: p.Cluster.Dir(),
		Env:    []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := p.Space.Do(cmd.Start); err != nil {
		return false, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() { _ = cmd.Wait() }() // no zombie while this process lives
	if err := group.Add(cmd.Process.Pid); err != nil {
		return false, fmt.Errorf("start %s: %w", p.Name, err)
	}
	// Callers meet pods that are gone until kube-proxy has had its turn. A real node has
	// processors to spare for that.
	if p.Name == "kube-proxy" {
		err = group.Favor(cmd.Process.Pid)
	}
	return true, err
}

// Kill ends the component without a chance to clean up, and waits until it is
// gone. Its children live on, as they do after a crash.
func (p Component) Kill(ctx context.Context) error {
	killed := 0
	for {
		pid := p.PID()
		if pid == 0 && threads(killed) <= 1 {
			return nil
		}
		if pid != 0 {
			killed = pid
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				return fmt.Errorf("kill %s: %w", p.Name, err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// threads counts the threads of a process. One that is a zombie may have
// others that are still exiting, and holds its ports until they have.
func threads(pid int) int {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0
	}
	return len(tasks)
}

// Tail returns the last lines of the log, for an error message.
func (p Component) Tail(lines int) string {
	data, _ := os.ReadFile(p.Log())
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
