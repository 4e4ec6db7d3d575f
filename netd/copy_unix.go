//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// copies is where root's copy of this program is for the moment in which it
// starts: what sudo runs lies in a user's folder, and may be replaced there.
const copies = "/var/lib/intercept-netd/run"

// rootCopy copies this program. Who runs from the copy removes it.
func rootCopy() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // whatever lies at its path by now
	}
	in, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer in.Close()
	if err := os.MkdirAll(copies, 0o700); err != nil {
		return "", err
	}
	out, err := os.CreateTemp(copies, "intercept-netd-")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o700), out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), nil
}

// dropCopy removes the copy that this program runs from, if it does.
func dropCopy() error {
	self, err := os.Executable()
	if err != nil || filepath.Dir(self) != copies {
		return err
	}
	defer os.Remove(copies) // it stays while others start
	return os.Remove(self)
}
