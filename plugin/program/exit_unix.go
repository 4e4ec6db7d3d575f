//go:build unix

package program

import (
	"os"
	"os/exec"
	"syscall"
)

// passed are the signals that a program does not get by itself.
var passed = []os.Signal{syscall.SIGTERM, syscall.SIGHUP}

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
