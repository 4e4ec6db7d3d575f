package environ

import "strings"

// Members returns the processes of a container that came of its first one, and that one
// itself. Find says how the container is found.
//
// A process that was brought into the container from outside, as by kubectl exec or an exec
// probe, is not among them, and its children are not either. It has no parent in the PID
// namespace, as the container's first process and the agent. A child of such a process that
// outlives it has the container's first process as its parent, and is a member from then on.
func (p Proc) Members(container string) ([]int, error) {
	first, err := p.Find(container)
	if err != nil {
		return nil, err
	}
	pids, err := p.beside(container)
	if err != nil {
		return nil, err
	}
	parents := map[int]int{}
	for _, pid := range pids {
		if s, err := p.stat(pid); err == nil { // else it has ended
			parents[pid] = s.parent
		}
	}
	var members []int
	for pid := range parents {
		if isMember(pid, first, parents) {
			members = append(members, pid)
		}
	}
	return members, nil
}

// beside lists all processes that are in the container. Where the runtime shows no names of
// cgroups, that is every process in the PID namespace.
func (p Proc) beside(container string) ([]int, error) {
	id := container
	if _, rest, ok := strings.Cut(container, "://"); ok {
		id = rest
	}
	if id == "" {
		return p.pids()
	}
	pids, _, err := p.inCgroup(id)
	if len(pids) > 0 || err != nil {
		return pids, err
	}
	return p.pids()
}

// isMember follows the parents of a process within the container. They end at the first
// process, outside of the PID namespace, or at a process that is not the container's, such as
// the pause container's, which takes the orphans of a pod that shares its processes.
func isMember(pid, first int, parents map[int]int) bool {
	for range len(parents) + 1 { // a process that ended while it was read may close a circle
		parent, inside := parents[pid]
		switch {
		case pid == first:
			return true
		case !inside:
			return pid != 0
		}
		pid = parent
	}
	return true
}
