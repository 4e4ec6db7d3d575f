//go:build unix

package state

import (
	"fmt"
	"os"
	"syscall"
)

// private checks that a directory is the user's and makes sure that nobody
// else can enter it.
func private(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(s.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a directory of yours: remove it", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, 0o700)
	}
	return nil
}
