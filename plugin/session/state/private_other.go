//go:build !unix

package state

import "os"

// private relies on the access list of the user's profile.
func private(string) error { return nil }

// mine does so too.
func mine(string) error { return nil }

// stranger does not know.
func stranger(string) string { return "" }

// writable tries it.
func writable(path string) error {
	f, err := os.CreateTemp(path, "check-*")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}
