// Package openat2 opens files of a container below a folder, from which no path leads out.
package openat2

import (
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// Beneath refuses every path that leads out of the folder, or into a mount within it.
	Beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV
	// InRoot takes the folder for the root, as a process in the container does.
	InRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
)

// races is how often a path is tried that others rename meanwhile.
const races = 64

// Open opens what a path means below the descriptor of a folder. Resolve is Beneath or InRoot.
// The error is EACCES if the path leads out.
func Open(dir int, path string, flags int, mode uint32, resolve uint64) (int, error) {
	if strings.ContainsRune(path, 0) {
		return -1, unix.EINVAL
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode), Resolve: resolve}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(dir, path, &how)
		switch {
		case err == unix.EINTR, err == unix.EAGAIN && try < races:
		case err == unix.EXDEV:
			return -1, unix.EACCES
		default:
			return fd, err
		}
	}
}
