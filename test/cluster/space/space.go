// Package space makes and enters the spaces of a cluster: one for the hub, one for
// each node and one for each laptop. A space is a network namespace with a mount
// namespace, and one sleeping process keeps both in existence. Nothing in the
// machine's own namespaces refers to a space. The kernel therefore removes it, with
// all its links and mounts, when its last process ends.
package space

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/cgroup"
)

// holder is the program that keeps the namespaces of a space in existence.
const holder = "sleep"

// Space is a network namespace with a mount namespace of its own. Group holds its
// processes.
type Space struct {
	Name  string
	Group cgroup.Tree

	pid int // of the holder
}

// Find returns the space with this name. The second result is false if there is none:
// its holder does not run.
func Find(group cgroup.Tree, name string) (Space, bool) {
	s := Space{Name: name, Group: group.Sub(name)}
	s.pid = s.Process("hold", holder)
	return s, s.pid != 0
}

// Create returns the space with this name and makes it if there is none. The second
// result is true if the space is new: it has neither links nor mounts then.
func Create(ctx context.Context, group cgroup.Tree, name string) (Space, bool, error) {
	if s, ok := Find(group, name); ok {
		return s, false, nil
	}
	s := Space{Name: name, Group: group.Sub(name)}
	hold := s.Group.Sub("hold")
	if err := hold.Create(); err != nil {
		return s, false, err
	}
	path, err := exec.LookPath(holder)
	if err != nil {
		return s, false, err
	}
	cmd := &exec.Cmd{
		Path: path, Args: []string{holder, "infinity"}, Dir: "/", Env: []string{"SPACE=" + name},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS},
	}
	if err := cmd.Start(); err != nil {
		return s, false, fmt.Errorf("create namespaces of %s: %w", name, err)
	}
	go func() { _ = cmd.Wait() }()
	s.pid = cmd.Process.Pid
	return s, true, hold.Add(s.pid)
}

// PID returns the process ID of the holder, by which other programs find the
// namespaces.
func (s Space) PID() int { return s.pid }

// Process returns the process ID of the component's process in this space whose
// program is named argv0. It returns 0 if no such process runs.
func (s Space) Process(component, argv0 string) int {
	for _, pid := range s.Group.Sub(component).Procs() {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		first, _, _ := strings.Cut(string(data), "\x00")
		if filepath.Base(first) == argv0 {
			return pid
		}
	}
	return 0
}

// Enter moves the calling thread into the space. The caller must have locked its
// goroutine to the thread, and must never unlock it.
func (s Space) Enter() error {
	var files []*os.File
	for _, name := range []string{"net", "mnt"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", s.pid, name))
		if err != nil {
			return fmt.Errorf("enter %s: %w", s.Name, err)
		}
		defer f.Close()
		files = append(files, f)
	}
	// A thread may change its mount namespace only when it does not share its
	// working directory with other threads.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("enter %s: %w", s.Name, err)
	}
	for i, flag := range []int{unix.CLONE_NEWNET, unix.CLONE_NEWNS} {
		if err := unix.Setns(int(files[i].Fd()), flag); err != nil {
			return fmt.Errorf("enter %s: %w", s.Name, err)
		}
	}
	return nil
}

// Do runs fn inside the space, on a thread of its own. Processes and sockets
// that fn makes belong to the space.
func (s Space) Do(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := s.Enter()
		if err == nil {
			err = fn()
		}
		result <- err
	}()
	return <-result
}

// Exec replaces this program with the command, inside the space. The process, its
// terminal and its signals stay the same, and the exit code is the command's. Exec
// returns only if it fails.
func (s Space) Exec(argv, env []string) error {
	dir, _ := os.Getwd()
	guests := s.Group.Sub("guests")
	if err := guests.Create(); err != nil {
		return err
	}
	if err := guests.Add(0); err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := s.Enter(); err != nil {
		return err
	}
	if err := unix.Chdir(dir); err != nil {
		_ = unix.Chdir("/")
	}
	path, err := exec.LookPath(argv[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return &NotFoundError{err}
	}
	return fmt.Errorf("run %s: %w", argv[0], syscall.Exec(path, argv, env))
}

// NotFoundError says that Exec's command does not exist.
type NotFoundError struct{ error }
