//go:build !linux

package check

// routes returns the networks of this machine's addresses. It does not read the system's
// routing table.
func routes() ([]Route, error) { return attached() }
