package server

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is who connected, as the kernel says (SO_PEERCRED, unix(7)).
func peer(c *net.UnixConn) (uid uint32, groups []uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var cred *unix.Ucred
	cerr := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			groups, err = peerGroups(fd)
		}
	})
	if err = errors.Join(cerr, err); err != nil {
		return 0, nil, err
	}
	return cred.Uid, append(groups, cred.Gid), nil
}

// peerGroups are the supplementary groups of the peer (SO_PEERGROUPS).
func peerGroups(fd uintptr) ([]uint32, error) {
	buf := make([]byte, 4*65536) // NGROUPS_MAX
	n := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errors.Is(errno, unix.ENODATA) || errors.Is(errno, unix.ENOPROTOOPT) {
		return nil, nil
	}
	if errno != 0 {
		return nil, errno
	}
	var groups []uint32
	for b := range slices.Chunk(buf[:n], 4) {
		groups = append(groups, binary.NativeEndian.Uint32(b))
	}
	return groups, nil
}
