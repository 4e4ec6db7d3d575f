package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

const answerTimeout = 5 // seconds to wait for an answer of the kernel

// conn is a netlink socket to the kernel's netfilter. It does not use a library,
// because one socket must own the table, and because a batch must be one transaction
// with one answer.
//
// It should be opened before the sockets of any flow. When a process dies, the kernel
// closes its descriptors from the highest to the lowest. So the flows are reset while
// the redirect is still in force, and their callers receive the resets.
type conn struct {
	mu  sync.Mutex
	fd  int
	seq uint32
}

// message is one request without its header's length and sequence number.
type message struct {
	kind  uint16
	flags uint16
	// family and resource are those of nfgenmsg.
	family   uint8
	resource uint16
	attrs    []byte
}

func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	c := &conn{fd: fd}
	timeout := unix.Timeval{Sec: answerTimeout}
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
	)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("set up netlink socket: %w", err)
	}
	return c, nil
}

func (c *conn) close() { unix.Close(c.fd) }

func (m message) append(b []byte, seq uint32) []byte {
	const headers = unix.NLMSG_HDRLEN + 4
	b = binary.NativeEndian.AppendUint32(b, uint32(headers+len(m.attrs)))
	b = binary.NativeEndian.AppendUint16(b, m.kind)
	b = binary.NativeEndian.AppendUint16(b, m.flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, m.family, unix.NFNETLINK_V0)
	b = binary.BigEndian.AppendUint16(b, m.resource)
	b = append(b, m.attrs...)
	return append(b, make([]byte, -len(b)&3)...)
}

// batch sends the messages as one transaction: the kernel applies all or none of them.
func (c *conn) batch(messages []message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	frame := message{kind: unix.NFNL_MSG_BATCH_BEGIN, resource: unix.NFNL_SUBSYS_NFTABLES}
	all := append([]message{frame}, messages...)
	all[len(all)-1].flags |= unix.NLM_F_ACK
	frame.kind = unix.NFNL_MSG_BATCH_END
	all = append(all, frame)

	first := c.seq + 1
	var b []byte
	for _, m := range all {
		c.seq++
		b = m.append(b, c.seq)
	}
	if err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send batch: %w", err)
	}
	// The kernel answers the last message. If it refuses the whole batch, it answers
	// the first message instead.
	last := c.seq - 1
	var failed error
	err := c.receive(func(h header, body []byte) (bool, error) {
		if h.seq < first || h.kind != unix.NLMSG_ERROR {
			return false, nil
		}
		errno := errnoOf(body)
		if errno != 0 && failed == nil {
			failed = errno
		}
		return h.seq == last || (h.seq == first && errno != 0), nil
	})
	return errors.Join(failed, err)
}

// dump sends one request and calls f with each message of the answer.
func (c *conn) dump(m message, f func(body []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	m.flags |= unix.NLM_F_DUMP
	return c.request(m, f)
}

// do sends one request and returns its error, if any.
func (c *conn) do(m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	m.flags |= unix.NLM_F_ACK
	return c.request(m, func([]byte) error { return nil })
}

func (c *conn) request(m message, f func(body []byte) error) error {
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(c.fd, m.append(nil, c.seq), 0, to); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	var failed error
	err := c.receive(func(h header, body []byte) (bool, error) {
		switch {
		case h.seq != c.seq:
			return false, nil
		case h.kind == unix.NLMSG_DONE:
			return true, nil
		case h.kind == unix.NLMSG_ERROR:
			if errno := errnoOf(body); errno != 0 {
				return true, errno
			}
			return true, nil
		}
		if failed == nil {
			failed = f(body)
		}
		return false, nil
	})
	return errors.Join(failed, err)
}
