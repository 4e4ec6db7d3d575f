//go:build !linux

package inside

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
)

// ErrSystem says that this operating system has no such namespaces.
var ErrSystem = errors.New("a program can have a network of its own on Linux only, and this is " + runtime.GOOS +
	": use kubectl intercept connect --proxy, which needs no root either")

// Space stands for the namespaces of a program, which this operating system does not
// have.
type Space struct{}

// Open returns ErrSystem.
func Open(*exec.Cmd) (*Space, error) { return nil, ErrSystem }

// Socket returns "".
func (*Space) Socket() string { return "" }

// Lost returns nil.
func (*Space) Lost() <-chan struct{} { return nil }

// Put returns ErrSystem.
func (*Space) Put(Volumes) ([]string, error) { return nil, ErrSystem }

// Run returns ErrSystem.
func (*Space) Run(context.Context, []string) error { return ErrSystem }

// Close does nothing.
func (*Space) Close() {}

// SeesMounts returns false.
func SeesMounts() bool { return false }

// Supervise returns ErrSystem.
func Supervise([]string) error { return ErrSystem }
