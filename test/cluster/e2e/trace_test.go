package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// trace is what a running cluster can be known by.
type trace struct {
	namespaces map[string]bool // its network and mount namespaces
	link       string          // its link on the machine
}

func (c *tool) trace() trace {
	seen := trace{namespaces: map[string]bool{}}
	for _, pid := range groupProcs() {
		for _, ns := range namespaces(pid) {
			seen.namespaces[ns] = true
		}
	}
	for _, ns := range namespaces(os.Getpid()) {
		delete(seen.namespaces, ns)
	}
	config, _ := os.ReadFile(filepath.Join(c.state, name, "cluster.json"))
	if _, after, ok := strings.Cut(string(config), `"slot":`); ok {
		digits, _, _ := strings.Cut(after, ",")
		seen.link = "kic" + strings.TrimSpace(digits)
	}
	return seen
}

// nothingLeft fails if anything of the cluster is still there.
func (c *tool) nothingLeft(before trace) {
	c.t.Helper()
	if _, err := os.Stat(c.state); !os.IsNotExist(err) {
		c.t.Errorf("the state folder is still there: %v", err)
	}
	for _, dir := range groupDirs() {
		c.t.Errorf("control group %s is still there", dir)
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), c.state) {
		c.t.Error("something is still mounted")
	}
	if _, err := net.InterfaceByName(before.link); before.link != "" && err == nil {
		c.t.Errorf("link %s is still there", before.link)
	}
	for _, pid := range processes("/proc") {
		for _, ns := range namespaces(pid) {
			if before.namespaces[ns] {
				c.t.Errorf("process %d is still in %s", pid, ns)
			}
		}
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if pid != os.Getpid() && strings.Contains(string(data), c.state) {
			c.t.Errorf("process %d still runs: %q", pid, data)
		}
	}
}

// groupDirs lists the cluster's control groups in all hierarchies.
func groupDirs() []string {
	var dirs []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/"} {
		found, _ := filepath.Glob(pattern + "kubectl-intercept-cluster/" + name)
		dirs = append(dirs, found...)
	}
	return dirs
}

func groupProcs() []int {
	seen := map[int]bool{}
	var pids []int
	for _, top := range groupDirs() {
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil
			}
			data, _ := os.ReadFile(path)
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// started are those of groupProcs that none of the others has started. What a component runs for
// a moment, such as kube-proxy's nft, is not among them.
func started() []int {
	all := groupProcs()
	return slices.DeleteFunc(slices.Clone(all), func(pid int) bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // gone: not among those that last
		_, after, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(after) // state, parent
		if len(fields) < 2 {
			return true
		}
		parent, err := strconv.Atoi(fields[1])
		return err != nil || slices.Contains(all, parent)
	})
}

func processes(proc string) []int {
	var pids []int
	entries, _ := os.ReadDir(proc)
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func namespaces(pid int) []string {
	var found []string
	for _, kind := range []string{"net", "mnt"} {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil && ns != "" {
			found = append(found, ns)
		}
	}
	return found
}
