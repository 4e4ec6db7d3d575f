//go:build unix

package session

import "syscall"

// detached gives a process a session of its own: the terminal's signals do
// not reach it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
