//go:build !linux

package carrier

import "syscall"

// limitSilence does nothing: only Linux can bound unacknowledged bytes.
func limitSilence(_, _ string, _ syscall.RawConn) error { return nil }
