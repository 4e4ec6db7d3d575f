//go:build !linux

package socket

import "net"

// Closed does not know whether the kernel keeps a connection.
func Closed(*net.TCPConn) bool { return false }

// WasReset does not know whether the peer reset a connection.
func WasReset(*net.TCPConn) bool { return false }
