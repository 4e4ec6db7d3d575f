//go:build !linux && !darwin

package daemon

import (
	"net"
	"os"
)

// peerUID returns this user, because the permissions of the socket's directory keep others
// out.
func peerUID(*net.UnixConn) (int, error) { return os.Getuid(), nil }
