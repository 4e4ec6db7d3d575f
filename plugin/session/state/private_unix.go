//go:build unix

package state

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// private checks that a directory belongs to the user, and makes sure that nobody else can
// enter it.
func private(path string) error {
	if err := checkOwner(path); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, 0o700)
	}
	return nil
}

var errForeign = errors.New("it is not yours")

// checkOwner checks that a directory belongs to the user.
func checkOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory of yours: remove it", path)
	}
	if owner := otherOwner(path); owner != "" {
		return &CacheDirError{Path: path, Owner: owner, Err: errForeign}
	}
	return nil
}

// otherOwner returns the owner of a file, or "" if the user owns it.
func otherOwner(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(s.Uid) == os.Getuid() {
		return ""
	}
	id := strconv.Itoa(int(s.Uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// writable returns an error if the user cannot make files in a directory.
func writable(path string) error { return unix.Access(path, unix.W_OK|unix.X_OK) }
