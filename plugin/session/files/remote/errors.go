package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pkg/sftp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// The numbers that Linux has for the errors that callers decide by. The laptop may have
// others.
const (
	ENOENT = 2
	EINTR  = 4
	EIO    = 5
	EACCES = 13
	EEXIST = 17
	EINVAL = 22
	ESTALE = 116
)

// Error is what the kernel of the pod's node said. Errno is its number in Linux.
type Error struct {
	Errno uint32
	Path  string
}

func (e *Error) Error() string {
	words, ok := map[uint32]string{1: "operation not permitted", ENOENT: "no such file or directory", EIO: "input/output error", EACCES: "permission denied",
		EEXIST: "file exists", 20: "not a directory", 21: "is a directory", EINVAL: "invalid argument", 28: "no space left on device",
		30: "read-only file system", 39: "directory not empty", 40: "too many symbolic links", ESTALE: "it is not there any more"}[e.Errno]
	if !ok {
		words = fmt.Sprintf("error %d", e.Errno)
	}
	return e.Path + ": " + words
}

// ErrUnavailable says that the pod could not be reached in the time that calls wait.
var ErrUnavailable = errors.New("the pod's files cannot be reached")

// Errno returns the number that Linux has for an error: EINTR for a call that was canceled, EIO
// if it has none, and 0 for nil.
func Errno(err error) uint32 {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Errno
	case errors.Is(err, context.Canceled):
		return EINTR
	}
	return EIO
}

// understand makes an *Error of what an SFTP server has answered. Other errors say that the
// stream is broken, and lost is true.
func understand(p string, err error) (_ error, lost bool) {
	var status *sftp.StatusError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err, false
	case errors.Is(err, fs.ErrNotExist):
		return &Error{ENOENT, p}, false
	case errors.Is(err, fs.ErrPermission):
		return &Error{EACCES, p}, false
	case !errors.As(err, &status):
		return err, true
	}
	n, ok := volume.ErrnoOf(status.Error())
	if !ok {
		n = EIO
	}
	return &Error{n, p}, false
}
