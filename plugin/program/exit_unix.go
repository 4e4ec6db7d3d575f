//go:build unix

package program

import (
	"os"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signals that a program does not get by itself are passed on to it. Those of a
// terminal's keys reach it as well as this process.
var (
	passed = []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
	keys   = []os.Signal{os.Interrupt, syscall.SIGQUIT}
	ends   = append(slices.Clone(passed), keys...)
)

// Stderr is the standard error output. Whoever reads it may go: a write then
// fails, and does not end this process as it does at descriptor 2 itself, so that
// a command can undo what it has begun.
func Stderr() *os.File {
	fd, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.Stderr
	}
	return os.NewFile(uintptr(fd), os.Stderr.Name())
}

// ask asks a process to end.
func ask(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func code(e *exec.ExitError) int {
	if s, ok := e.Sys().(syscall.WaitStatus); ok {
		return Code(s)
	}
	return e.ExitCode()
}

// Code is what a shell makes of an end.
func Code(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}
