package socket

import "golang.org/x/sys/unix"

// pending is the number of bytes that can be read at once.
func pending(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCINQ) }
