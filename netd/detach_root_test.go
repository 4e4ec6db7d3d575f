//go:build rootful

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// detach starts netd as sudo does, and returns when that has ended.
func (l *laptop) detach() {
	l.t.Helper()
	if got := l.run(l.netd, "serve", "--detach", "--once", "--socket="+socket, "--uid=4321"); got != "" {
		l.t.Errorf("printed %q", got)
	}
	l.t.Cleanup(func() {
		for pid := range l.running() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

// running are the processes of netd on this laptop, and whether they guard.
func (l *laptop) running() map[int]bool {
	found := map[int]bool{}
	here, _ := os.Readlink("/proc/" + l.pid + "/ns/mnt")
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		exe, _ := os.Readlink(p + "/exe")
		ns, _ := os.Readlink(p + "/ns/mnt")
		// It is root's copy that runs, which is nowhere any more.
		if strings.HasPrefix(filepath.Base(exe), "intercept-netd-") && strings.HasSuffix(exe, " (deleted)") && ns == here {
			args, _ := os.ReadFile(p + "/cmdline")
			pid, _ := strconv.Atoi(filepath.Base(p))
			found[pid] = strings.HasSuffix(string(args), "\x00--guard\x00")
		}
	}
	return found
}

func (l *laptop) ended() {
	l.t.Helper()
	l.await("the end of netd", func() (string, bool) {
		left := l.running()
		return l.sh("ps -ef | grep intercept-netd; cat /run/intercept-netd/log; true"), len(left) == 0
	})
	if out, err := l.command("ls", socket).CombinedOutput(); err == nil {
		l.t.Errorf("the socket stays: %s", out)
	}
}

func TestOnDemand(t *testing.T) {
	l := newLaptop(t)
	before := l.snapshot()
	l.detach()
	// As the user: asking whether it is there does not end it.
	as := []string{"setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", os.Args[0]}
	for range 2 {
		if got := l.run(append(as, "dial", socket)...); got != "1.2.3-test\n" {
			t.Errorf("got %q", got)
		}
	}
	s := l.sessionOf(l.command(append(as, "session", socket)...))
	s.must(handover.OpOpen, config())
	s.kill(t, syscall.SIGKILL)
	l.becomes(before)
	l.ended()
}

// Without systemd there is nobody else to undo what a killed netd leaves.
func TestGuard(t *testing.T) {
	l := newLaptop(t)
	before := l.snapshot()
	l.detach()
	s := l.session()
	s.must(handover.OpOpen, config())
	var killed bool
	for pid, guards := range l.running() {
		if !guards {
			must(t, syscall.Kill(pid, syscall.SIGKILL))
			killed = true
		}
	}
	if !killed {
		t.Fatalf("nobody serves: %v", l.running())
	}
	if r := s.ask(order{Op: "gone"}); r.Error != "" {
		t.Error(r.Error)
	}
	l.becomes(before)
	l.await("the end of netd", func() (string, bool) { return "", len(l.running()) == 0 })
	// The socket of the dead is no obstacle.
	l.detach()
	again := l.session()
	again.must(handover.OpOpen, config())
	again.must(handover.OpClose, handover.Config{})
	l.becomes(before)
	l.ended()
}

// The guard asked to end ends all, in order.
func TestGuardIsAsked(t *testing.T) {
	l := newLaptop(t)
	before := l.snapshot()
	l.detach()
	l.session().must(handover.OpOpen, config())
	for pid, guards := range l.running() {
		if guards {
			must(t, syscall.Kill(pid, syscall.SIGTERM))
		}
	}
	l.becomes(before)
	l.ended()
}
