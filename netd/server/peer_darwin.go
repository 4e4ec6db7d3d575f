package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// peer is who connected, as the kernel says (LOCAL_PEERCRED, unix(4)).
func peer(c *net.UnixConn) (uid uint32, groups []uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var cred *unix.Xucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	}); cerr != nil {
		return 0, nil, cerr
	}
	if err != nil {
		return 0, nil, err
	}
	return cred.Uid, cred.Groups[:min(int(cred.Ngroups), len(cred.Groups))], nil
}
