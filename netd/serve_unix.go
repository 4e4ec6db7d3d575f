//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/server"
)

// inherited is the first descriptor that systemd or a parent hands down
// (sd_listen_fds(3)).
const inherited = 3

// more are the commands of this system alone: none, as files make a service
// here, and kubectl intercept netd install writes them.
func more(string, *flag.FlagSet) func() error { return nil }

type serving struct {
	socket   string
	uid, gid int
	idle     time.Duration
	once     bool
	detach   bool
	handed   bool
	guard    bool
}

func serve(ctx context.Context, fs *flag.FlagSet, log *slog.Logger) func() error {
	var s serving
	fs.StringVar(&s.socket, "socket", "", "listen at this path in "+handover.RunDir()+"; not needed under systemd")
	fs.IntVar(&s.uid, "uid", -1, "the user who may connect, beside root")
	fs.IntVar(&s.gid, "gid", -1, "the group that may connect")
	fs.DurationVar(&s.idle, "idle", time.Minute, "end after so long without a client; 0 is never")
	fs.BoolVar(&s.once, "once", false, "end when the last session is gone")
	fs.BoolVar(&s.detach, "detach", false, "return when the socket is there, and serve in the background")
	fs.BoolVar(&s.handed, "handed", false, "the socket is descriptor 3")
	fs.BoolVar(&s.guard, "guard", false, "serve in a process of its own, and undo what it leaves if it is killed")
	return func() error { return s.run(ctx, log) }
}

func (s *serving) run(ctx context.Context, log *slog.Logger) error {
	if err := makeRunDir(); err != nil {
		return err
	}
	l, err := s.listen()
	if err != nil {
		return err
	}
	switch {
	case s.detach:
		defer l.Close()
		l.SetUnlinkOnClose(false)
		return background(l)
	case s.guard:
		return watch(ctx, l, log)
	}
	return server.Serve(ctx, l, server.Options{Run: handover.RunDir(), Release: version,
		UID: s.uid, GID: s.gid, Once: s.once, Idle: s.idle, Log: log})
}

func makeRunDir() error {
	if err := os.MkdirAll(handover.RunDir(), 0o711); err != nil {
		return err
	}
	return os.Chmod(handover.RunDir(), 0o711) // whatever the umask
}

func (s *serving) listen() (*net.UnixListener, error) {
	systemd := os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) && os.Getenv("LISTEN_FDS") == "1"
	if systemd || s.handed {
		f := os.NewFile(inherited, "socket")
		defer f.Close()
		unix.CloseOnExec(inherited)
		l, err := net.FileListener(f)
		u, ok := l.(*net.UnixListener)
		if err != nil || !ok {
			return nil, fmt.Errorf("take the socket over: it has to be a unix socket that listens: %v", err)
		}
		u.SetUnlinkOnClose(!systemd)
		return u, nil
	}
	if filepath.Dir(s.socket) != handover.RunDir() {
		return nil, fmt.Errorf("--socket %q: must be directly in %s", s.socket, handover.RunDir())
	}
	if c, err := net.Dial("unix", s.socket); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen at %s: another intercept-netd does", s.socket)
	}
	if err := os.Remove(s.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	defer unix.Umask(unix.Umask(0o777)) // nobody connects before it is theirs
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: s.socket})
	if err != nil {
		return nil, err
	}
	mode := os.FileMode(0o600)
	if s.gid >= 0 {
		mode = 0o660
	}
	if err := errors.Join(os.Chown(s.socket, s.uid, s.gid), os.Chmod(s.socket, mode)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// again is a copy of this program, with other flags, the socket, and no terminal.
func again(program string, l *net.UnixListener, log *os.File, flags ...string) (*exec.Cmd, error) {
	f, err := l.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(program, slices.Concat(os.Args[1:], []string{"--handed", "--detach=false"}, flags)...)
	cmd.Dir, cmd.Stderr, cmd.ExtraFiles = "/", log, []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start in the background: %w", err)
	}
	return cmd, nil
}

// background leaves the socket to a guard.
func background(l *net.UnixListener) error {
	log, err := os.OpenFile(filepath.Join(handover.RunDir(), "log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	program, err := rootCopy()
	if err != nil {
		return fmt.Errorf("copy this program: %w", err)
	}
	cmd, err := again(program, l, log, "--guard")
	if err != nil {
		return errors.Join(err, os.Remove(program))
	}
	return cmd.Process.Release()
}

// watch serves in another process. systemd would start a killed one again,
// which undoes; here this one does.
func watch(ctx context.Context, l *net.UnixListener, log *slog.Logger) error {
	l.SetUnlinkOnClose(false)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd, err := again(self, l, os.Stderr, "--guard=false")
	l.Close()
	if err != nil {
		return err
	}
	if err := dropCopy(); err != nil {
		log.Warn("this program's copy stays", "error", err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })() // else: it has ended
	if err := cmd.Wait(); err != nil {
		return errors.Join(err, undo(log))
	}
	return nil
}

func undo(log *slog.Logger) error {
	if err := makeRunDir(); err != nil {
		return err
	}
	return server.Recover(handover.RunDir(), log)
}
