package capture

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// header has the fields of a netlink message's header that this package uses.
type header struct {
	kind uint16
	seq  uint32
}

// receive calls f with each message that arrives, without the netlink header, until f
// returns true or an error. The caller holds c.mu.
func (c *conn) receive(f func(h header, body []byte) (done bool, err error)) error {
	b := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(c.fd, b, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the kernel's answer: %w", err)
		}
		for rest := b[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.NLMSG_HDRLEN || size > len(rest) {
				return fmt.Errorf("read the kernel's answer: message of %d bytes in %d", size, len(rest))
			}
			h := header{binary.NativeEndian.Uint16(rest[4:]), binary.NativeEndian.Uint32(rest[8:])}
			done, err := f(h, rest[unix.NLMSG_HDRLEN:size])
			if done || err != nil {
				return err
			}
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	}
}

// errnoOf returns the error number in the body of NLMSG_ERROR. 0 means success.
func errnoOf(body []byte) unix.Errno {
	if len(body) < 4 {
		return unix.EBADMSG
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
}
