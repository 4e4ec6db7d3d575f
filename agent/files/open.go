package files

import (
	"errors"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/agent/openat2"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// open opens what a place means, and follows symbolic links within the mount unless flags
// say otherwise.
func (p place) open(flags int) (int, error) {
	switch {
	case p.m == nil:
		return -1, unix.EACCES
	case p.m.file && p.rel != ".":
		return -1, unix.ENOTDIR
	case p.m.file && flags&unix.O_PATH != 0:
		return unix.FcntlInt(uintptr(p.m.fd), unix.F_DUPFD_CLOEXEC, 0)
	case p.m.file:
		return reopen(p.m.fd, flags)
	}
	return openat2.Open(p.m.fd, p.rel, flags, 0, openat2.Beneath)
}

// parent opens the folder that a place is in, and returns the name in it. A mount itself has
// neither: it cannot be renamed or removed.
func (p place) parent() (dir int, name string, err error) {
	switch {
	case p.m == nil:
		return -1, "", unix.EACCES
	case p.rel == ".":
		return -1, "", unix.EBUSY
	}
	dir, err = place{p.path, p.m, path.Dir(p.rel)}.open(unix.O_PATH | unix.O_DIRECTORY)
	return dir, path.Base(p.rel), err
}

// regular opens a regular file. Nothing else is opened, not for a moment: it does something to
// a device to be opened.
func (p place) regular(flags int) (int, volume.Attr, error) {
	fd, err := p.open(unix.O_PATH | flags&unix.O_NOFOLLOW)
	if err != nil {
		return -1, volume.Attr{}, err
	}
	defer unix.Close(fd)
	a, _, err := statx(fd, "")
	switch {
	case err != nil:
		return -1, a, err
	case a.Is(volume.TypeDir):
		return -1, a, unix.EISDIR
	case !a.Is(volume.TypeRegular):
		return -1, a, unix.EACCES
	}
	f, err := reopen(fd, flags&^unix.O_NOFOLLOW)
	return f, a, err
}

// reopen opens a file to which there is an O_PATH descriptor.
func reopen(fd, flags int) (int, error) {
	return unix.Open(descriptor(fd), flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

// descriptor is the path of a descriptor of this process.
func descriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// lstat returns the attributes of a place. If its folder is not there either, the error is
// ESTALE: the caller knows a folder that has gone.
func (p place) lstat() (volume.Attr, error) {
	fd, err := p.open(unix.O_PATH | unix.O_NOFOLLOW)
	if err == unix.ENOENT && path.Dir(p.rel) != "." {
		if dir, err := (place{p.path, p.m, path.Dir(p.rel)}).open(unix.O_PATH); err == nil {
			unix.Close(dir)
		} else if err == unix.ENOENT {
			return volume.Attr{}, unix.ESTALE
		}
	}
	if err != nil {
		return volume.Attr{}, err
	}
	defer unix.Close(fd)
	a, _, err := statx(fd, "")
	return a, err
}

// statx returns the attributes of a name in a folder, or of the descriptor if the name is
// empty. It says whether something is mounted there.
func statx(dir int, name string) (volume.Attr, bool, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var s unix.Statx_t
	if err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS, &s); err != nil {
		return volume.Attr{}, false, err
	}
	nanos := func(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }
	return volume.Attr{Mode: uint32(s.Mode), UID: s.Uid, GID: s.Gid, Nlink: s.Nlink, Size: s.Size, Ino: s.Ino,
			Rdev: unix.Mkdev(s.Rdev_major, s.Rdev_minor), Blocks: s.Blocks,
			MtimeNS: nanos(s.Mtime), CtimeNS: nanos(s.Ctime), AtimeNS: nanos(s.Atime)},
		s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

func readlink(dir int, name string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// pread fills b, as far as the file has bytes.
func pread(fd int, b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		k, err := unix.Pread(fd, b[n:], off+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil || k == 0 {
			return n, err
		}
		n += k
	}
	return n, nil
}

// number is the errno of an error.
func number(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}
