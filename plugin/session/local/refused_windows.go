package local

import "net"

// refused is told by a later read alone.
func refused(net.Conn) bool { return false }
