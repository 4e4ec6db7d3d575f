// Package cgroup keeps all processes of a cluster in one tree of control
// groups. The tree is the only register of processes: a process that a
// cluster started cannot leave it, so whatever dies, `down` finds the rest.
//
// With cgroup v1 the same tree exists in every hierarchy; with v2 in the one.
package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tree is a control group with everything below it, in all hierarchies.
type Tree struct {
	path   string   // below the mount points
	mounts []string // where the hierarchies are mounted
	v2     bool
}

// Open finds the hierarchies. It makes nothing.
func Open(path ...string) (Tree, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Tree{}, err
	}
	defer f.Close()
	t := Tree{path: filepath.Join(path...)}
	var unified []string
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, _ := strings.Cut(s.Text(), " - ")
		fields := strings.Fields(before)
		kind, _, _ := strings.Cut(after, " ")
		if len(fields) < 5 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
			continue
		}
		switch kind {
		case "cgroup":
			t.mounts = append(t.mounts, fields[4])
		case "cgroup2":
			unified = append(unified, fields[4])
		}
	}
	// Beside v1 hierarchies, a v2 one has no controllers, but runc uses it.
	t.v2 = len(t.mounts) == 0
	t.mounts = append(t.mounts, unified...)
	if len(t.mounts) == 0 {
		return t, errors.New("no control groups are mounted under /sys/fs/cgroup")
	}
	return t, nil
}

// Sub is a tree below this one.
func (t Tree) Sub(elem ...string) Tree {
	t.path = filepath.Join(append([]string{t.path}, elem...)...)
	return t
}

// Path is the tree's path as Kubernetes and /proc write it.
func (t Tree) Path() string { return "/" + t.path }

// Create makes the group and its parents in every hierarchy. The down of another
// cluster may remove a parent that is empty still: then it begins again.
func (t Tree) Create() error {
	const tries = 100
	for _, mount := range t.mounts {
		err := t.create(mount)
		for try := 1; errors.Is(err, fs.ErrNotExist) && try < tries; try++ {
			err = t.create(mount)
		}
		if err != nil {
			return fmt.Errorf("create control group: %w", err)
		}
	}
	return nil
}

func (t Tree) create(mount string) error {
	dir := mount
	for _, elem := range strings.Split(t.path, "/") {
		if t.v2 {
			// A controller that is missing here is missing for all; kubelet
			// says so in better words.
			for _, c := range []string{"+cpu", "+cpuset", "+memory", "+pids", "+io", "+hugetlb"} {
				_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(c), 0)
			}
		}
		parent := dir
		dir = filepath.Join(dir, elem)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if !t.v2 {
			inheritCpuset(parent, dir)
		}
	}
	return nil
}

// inheritCpuset fills the two files without which a v1 cpuset takes no
// process. Other hierarchies do not have them.
func inheritCpuset(parent, dir string) {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || strings.TrimSpace(string(own)) != "" {
			continue
		}
		if value, err := os.ReadFile(filepath.Join(parent, name)); err == nil {
			_ = os.WriteFile(filepath.Join(dir, name), value, 0)
		}
	}
}

// Add moves a process (0: this one) into the group.
func (t Tree) Add(pid int) error {
	for _, mount := range t.mounts {
		file := filepath.Join(mount, t.path, "cgroup.procs")
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("join control group %s: %w", t.Path(), err)
		}
	}
	return nil
}

// Favor gives a process of the group its turn before the processes of all other groups. With
// cgroup v1 it leaves the tree in the hierarchy of processor time, and in no other.
func (t Tree) Favor(pid int) error {
	for _, mount := range t.mounts {
		file, text := filepath.Join(mount, t.path, "cpu.weight"), "10000" // the most there is
		if !t.v2 {
			file, text = filepath.Join(mount, "cgroup.procs"), strconv.Itoa(pid)
			if _, err := os.Stat(filepath.Join(mount, t.path, "cpu.shares")); err != nil {
				continue // the hierarchy of another controller
			}
		}
		if err := os.WriteFile(file, []byte(text), 0); err != nil {
			return fmt.Errorf("favor a process of control group %s: %w", t.Path(), err)
		}
	}
	return nil
}

// Procs lists the living processes of the group itself.
func (t Tree) Procs() []int { return t.procs(false) }

// AllProcs lists the living processes of the tree.
func (t Tree) AllProcs() []int { return t.procs(true) }

func (t Tree) procs(deep bool) []int {
	seen := map[int]bool{}
	var pids []int
	for _, mount := range t.mounts {
		top := filepath.Join(mount, t.path)
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			if !deep && path != top {
				return fs.SkipDir
			}
			data, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && !seen[pid] && alive(pid) {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// Destroy kills every process of the tree and removes it. A caller that is
// itself inside is moved out and spared.
func (t Tree) Destroy(ctx context.Context) error {
	if slices.Contains(t.AllProcs(), os.Getpid()) {
		if err := (Tree{mounts: t.mounts}).Add(0); err != nil {
			return err
		}
	}
	t.thaw()
	deadline := time.Now().Add(30 * time.Second)
	for {
		pids := t.AllProcs()
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		left := t.remove()
		if len(pids) == 0 && left == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end: %w", pids, left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// thaw lets paused containers be killed. Groups that are not frozen, and
// hierarchies without the file, do not mind.
func (t Tree) thaw() {
	for _, mount := range t.mounts {
		_ = filepath.WalkDir(filepath.Join(mount, t.path), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				thawOne(path)
			}
			return nil
		})
	}
}

func thawOne(dir string) {
	for name, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
		if f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0); err == nil {
			_, _ = f.WriteString(value)
			_ = f.Close()
		}
	}
}

// remove deletes the folders, children first, and then the folder that all
// clusters share if this was the last one.
func (t Tree) remove() error {
	var first error
	for _, mount := range t.mounts {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(mount, t.path), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			if err := unix.Rmdir(dirs[i]); err != nil && err != unix.ENOENT && first == nil {
				first = &fs.PathError{Op: "rmdir", Path: dirs[i], Err: err}
			}
		}
		_ = unix.Rmdir(filepath.Join(mount, filepath.Dir(t.path)))
	}
	return first
}

func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name is in parentheses and may hold anything, also parentheses.
	rest := string(data[strings.LastIndexByte(string(data), ')')+1:])
	return !strings.HasPrefix(rest, " Z") && !strings.HasPrefix(rest, " X")
}
