//go:build !linux

package record

import "net"

// setLowWater does nothing: readers are woken for every segment.
func setLowWater(*net.TCPConn, int) bool { return false }
