package program

import (
	"os"
	"os/exec"
)

// passed are the signals that a program does not get by itself: Windows has
// none to pass on.
var passed []os.Signal

func code(e *exec.ExitError) int { return e.ExitCode() }
