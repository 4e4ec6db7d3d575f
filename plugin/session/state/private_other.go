//go:build !unix

package state

import "os"

// private checks nothing: the access list of the user's profile protects the directory.
func private(string) error { return nil }

// checkOwner checks nothing, for the same reason as private.
func checkOwner(string) error { return nil }

// otherOwner returns "", because the owner is not checked on this system.
func otherOwner(string) string { return "" }

// writable tries to make a file in the directory.
func writable(path string) error {
	f, err := os.CreateTemp(path, "check-*")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}
