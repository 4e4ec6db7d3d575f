package server

import "net"

// peer says root: who may connect is said by the folder of the socket, which
// Windows has checked.
func peer(*net.UnixConn) (uid uint32, groups []uint32, err error) { return 0, nil, nil }
