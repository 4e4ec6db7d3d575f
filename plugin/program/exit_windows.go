package program

import (
	"os"
	"os/exec"
	"syscall"
)

// Windows has no signals to pass on to a program, and one of the keys. SIGTERM
// stands for the closing of the window, among others.
var (
	passed []os.Signal
	keys   = []os.Signal{os.Interrupt}
	ends   = []os.Signal{os.Interrupt, syscall.SIGTERM}
)

// Stderr is the standard error output.
func Stderr() *os.File { return os.Stderr }

// ask ends a process: on Windows nobody can ask one that shares a console with others.
func ask(p *os.Process) error { return p.Kill() }

func code(e *exec.ExitError) int { return e.ExitCode() }
