//go:build rootful

package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// activate is systemd: it listens, waits for the first connection and becomes
// the service (sd_listen_fds(3)).
func activate(path string, args []string) error {
	if err := os.MkdirAll(handover.RunDir(), 0o711); err != nil {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		return err
	}
	f, err := l.File()
	if err != nil {
		return err
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, -1); err != nil {
		return err
	}
	if f.Fd() != inherited {
		if err := unix.Dup2(int(f.Fd()), inherited); err != nil {
			return err
		}
	} else if _, err := unix.FcntlInt(inherited, unix.F_SETFD, 0); err != nil {
		return err
	}
	env := append(os.Environ(), "LISTEN_FDS=1", fmt.Sprintf("LISTEN_PID=%d", os.Getpid()))
	return syscall.Exec(args[0], args, env)
}

// As a service netd serves several sessions, one after the other too, and ends
// when there is nobody.
func TestSocketActivation(t *testing.T) {
	l := newLaptop(t)
	before := l.snapshot()
	netd := l.start(l.command(os.Args[0], "activate", socket, l.netd, "serve", "--uid=4321", "--idle=500ms"))
	l.await("the socket", func() (string, bool) {
		return netd.log.String(), l.command("test", "-S", socket).Run() == nil
	})
	a := l.session()
	a.must(handover.OpOpen, config("10.96.0.0/12"))
	a.must(handover.OpClose, handover.Config{})
	b := l.session()
	b.must(handover.OpOpen, config("10.112.0.0/12"))
	a.kill(t, syscall.SIGKILL)
	if got := l.routes("intercept0"); strings.Join(got, " ") != "10.112.0.0/12" {
		t.Errorf("routes %v", got)
	}
	b.kill(t, syscall.SIGKILL)
	if err := netd.ends(t); err != nil {
		t.Errorf("netd: %v", err)
	}
	l.becomes(before)
	if l.command("test", "-S", socket).Run() != nil {
		t.Error("netd removed systemd's socket")
	}
}
