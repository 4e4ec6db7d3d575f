//go:build unix

package container

import "syscall"

// detached gives a process a Unix session of its own, so that the terminal's signals do not
// reach it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
