//go:build !linux

package socket

// pending knows of the one byte that was seen.
func pending(int) (int, error) { return 1, nil }
