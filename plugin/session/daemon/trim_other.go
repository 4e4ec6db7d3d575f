//go:build !linux

package daemon

// trim does nothing: only Linux counts the pages of the binary as the process's
// memory.
func trim() {}
