//go:build !linux

package inside

import (
	"errors"
	"os/exec"
	"runtime"
)

// ErrSystem says that the system has nothing of the kind.
var ErrSystem = errors.New("a program can have a network of its own on Linux only, and this is " + runtime.GOOS +
	": use kubectl intercept connect --proxy, which needs no root either")

// Space is the place of a program. There is none on this system.
type Space struct{}

// Open returns ErrSystem.
func Open(*exec.Cmd) (*Space, error) { return nil, ErrSystem }

// Socket is "".
func (*Space) Socket() string { return "" }

// Lost is nil.
func (*Space) Lost() <-chan struct{} { return nil }

// Run returns ErrSystem.
func (*Space) Run() error { return ErrSystem }

// Close does nothing.
func (*Space) Close() {}

// Supervise returns ErrSystem.
func Supervise([]string) error { return ErrSystem }
