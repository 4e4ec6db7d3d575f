package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Programs whose memory and CPU time are looked at.
const (
	sessionProcess = "session"
	managerProcess = "manager"
	agentProcess   = "agent"
	apiProcess     = "kube-apiserver"
	nginxProcess   = "nginx"
	haproxyProcess = "haproxy"
)

// find returns the PID of a program's process through which intercepted traffic passes,
// or 0. For the agent, that is the process in the pod of the deployment "ephemeral", because
// other pods have agents too. If several processes match, it returns the newest.
func (b *bench) find(program string) int {
	all := b.lab.findAll(program)
	if program == agentProcess {
		ip, _, _ := net.SplitHostPort(b.ephemeral)
		all = slices.DeleteFunc(all, func(pid int) bool { return !hasAddress(pid, ip) })
	}
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all)
}

// hasAddress reports whether the network namespace of a process has this IPv4 address.
func hasAddress(pid int, ip string) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/fib_trie", pid)) // a process that cannot be read has ended
	var last string
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == "/32 host LOCAL" && last == "|-- "+ip {
			return true
		}
		last = strings.TrimSpace(line)
	}
	return false
}

// findAll returns all processes of a program in this cluster. All processes of a
// cluster, containers included, are in its control group.
func (l *lab) findAll(program string) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc") // a process that cannot be read has ended
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !isProgram(pid, program) {
			continue
		}
		groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if strings.Contains(string(groups), "/kubectl-intercept-cluster/"+l.name+"/") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func isProgram(pid int, program string) bool {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(string(line), "\x00")
	name := filepath.Base(args[0])
	switch program {
	case sessionProcess:
		return name == "kubectl-intercept" && len(args) > 1 && args[1] == "session"
	case managerProcess:
		return name == "traffic-manager"
	case agentProcess:
		return name == "traffic-agent"
	case nginxProcess: // whose workers name themselves
		return name == program || strings.HasPrefix(args[0], program+": ")
	}
	return name == program
}

// endSessions ends the session processes that `add` started in this cluster.
func (l *lab) endSessions(ctx context.Context) error {
	for _, pid := range l.findAll(sessionProcess) {
		_ = syscall.Kill(pid, syscall.SIGTERM) // fails once it has ended
	}
	const limit = 15 * time.Second
	for end := time.Now().Add(limit); ; {
		left := l.findAll(sessionProcess)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("session %d did not end in %s", left[0], limit)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// resident returns the resident memory of a process in MB of 1e6 bytes: the present
// value, and the peak since resetPeak. It returns 0 if there is no process.
func resident(pid int) (now, peak float64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		kib, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kib * 1024 / 1e6
		case "VmHWM:":
			peak = kib * 1024 / 1e6
		}
	}
	return now, peak
}

// resetPeak resets the peak memory of a process. If the kernel does not allow that, the
// peak remains that of the process's whole lifetime, which is never lower.
func resetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// cpuTime returns the CPU time of a process in seconds.
func cpuTime(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name is in parentheses and may hold anything.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticks
}

// machineTime returns the CPU time of the whole machine in seconds.
func machineTime() float64 {
	b, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(b), "\n")
	var sum float64
	for i, f := range strings.Fields(first) {
		if i >= 1 && i <= 8 && i != 4 && i != 5 { // without idle and iowait
			v, _ := strconv.ParseFloat(f, 64)
			sum += v
		}
	}
	return sum / ticks
}

// loadAverage returns the load average of the last minute.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// ticks per second in /proc, the same on every Linux that Go runs on.
const ticks = 100

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
