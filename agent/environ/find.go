package environ

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// shortestID is what container runtimes show of an ID at least.
const shortestID = 12

// Find returns the first process of a container, whose ID is that in the pod's status, such
// as containerd://0123….
//
// A process belongs to the container whose ID is in the names of its cgroups. That holds
// for cgroup v1 and v2 and for all drivers. It also holds if the agent has a cgroup
// namespace of its own, since cgroups outside of that have names as well. The first process
// of a container is the one that began first. The others do not follow from it: a process
// of kubectl exec has no parent in the PID namespace either.
//
// Some runtimes show no names. If no process has a cgroup with the ID of any container, or
// the container's ID is empty, process 1 is the one, unless it is the pause container:
// containers that do not share PID namespaces begin with process 1.
func (p Proc) Find(container string) (int, error) {
	_, id, hasRuntime := strings.Cut(container, "://")
	if !hasRuntime {
		id = container
	}
	if id != "" && len(id) < shortestID {
		return 0, fmt.Errorf("%q is no ID of a container", container)
	}
	if id == "" {
		return p.one()
	}
	pids, others, err := p.inCgroup(id)
	if err != nil {
		return 0, err
	}
	first, began := 0, uint64(0)
	for _, pid := range pids {
		s, err := p.stat(pid)
		if err == nil && (first == 0 || s.began < began || s.began == began && pid < first) {
			first, began = pid, s.began
		}
	}
	switch {
	case first != 0:
		return first, nil
	case others:
		return 0, fmt.Errorf("no process of container %.12s is in the agent's PID namespace: the container has ended, or the agent was not made for it", id)
	}
	return p.one()
}

var anyID = regexp.MustCompile(`[0-9a-f]{64}`)

// inCgroup lists the processes that have a cgroup with an ID in its name. Others says that a
// process has one with the ID of another container.
func (p Proc) inCgroup(id string) (pids []int, others bool, err error) {
	all, err := p.pids()
	if err != nil {
		return nil, false, err
	}
	for _, pid := range all {
		cgroups, err := os.ReadFile(p.file(pid, "cgroup"))
		if err != nil {
			continue // it has ended
		}
		if bytes.Contains(cgroups, []byte(id)) {
			pids = append(pids, pid)
		}
		others = others || anyID.Match(cgroups)
	}
	return pids, others, nil
}

// one returns process 1 if it can be an application.
func (p Proc) one() (int, error) {
	comm, err := os.ReadFile(p.file(1, "comm"))
	if err != nil {
		return 0, fmt.Errorf("read the name of process 1: %w", err)
	}
	if strings.TrimSpace(string(comm)) == "pause" {
		return 0, fmt.Errorf("the pod's containers share their processes, and the container runtime does not show which of them belong to which container: set shareProcessNamespace: false")
	}
	return 1, nil
}

// pids lists the processes.
func (p Proc) pids() (pids []int, err error) {
	dir, err := os.Open(string(p))
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func (p Proc) file(pid int, name string) string {
	return filepath.Join(string(p), strconv.Itoa(pid), name)
}
