// Package datagram carries UDP datagrams and ICMP echoes within a flow.
//
// A UDP flow is a stream of datagrams, each u16 length and payload; the first one,
// in the Open frame, has no length. The acceptor ends the flow after a time without
// traffic, and resets it when the far side says that the port is unreachable.
//
// An ICMP flow is what one program pings at one address: echo requests one way, the
// replies the other way, IPv4 and IPv6. Each is a datagram of sequence number u16
// and payload; the acceptor chooses the identifier. The acceptor sends every
// request to the address, and answers none itself.
package datagram

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// Max is the largest UDP payload, in bytes.
const Max = 65507

// Write sends one datagram of a UDP flow with one Write: u16 length and payload.
func Write(w io.Writer, p []byte) error {
	if len(p) > Max {
		return fmt.Errorf("datagram of %d bytes exceeds %d", len(p), Max)
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(p)), uint16(len(p)))
	_, err := w.Write(append(b, p...))
	return err
}

// Read reads one datagram into buf, which must be large enough: Max bytes always
// are.
func Read(r io.Reader, buf []byte) (int, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > len(buf) {
		return 0, fmt.Errorf("datagram of %d bytes exceeds the buffer of %d", n, len(buf))
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// New makes a Stream of a connected UDP socket: a reader gets the datagrams of the
// socket with their lengths before them, and a writer must write them so. The
// stream ends after a time of idle without traffic in either direction.
func New(c net.Conn, idle time.Duration) tunnel.Stream {
	return &datagrams{Conn: c, idle: idle}
}

type datagrams struct {
	net.Conn
	idle    time.Duration
	pending []byte // of a frame that came in parts
	packet  []byte // framed, not yet read
	buf     []byte
}

func (d *datagrams) Read(p []byte) (int, error) {
	if len(d.packet) == 0 {
		if d.buf == nil {
			d.buf = make([]byte, 2+Max)
		}
		d.SetReadDeadline(time.Now().Add(d.idle))
		n, err := d.Conn.Read(d.buf[2:])
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				return 0, io.EOF
			}
			return 0, err
		}
		binary.BigEndian.PutUint16(d.buf, uint16(n))
		d.packet = d.buf[:2+n]
	}
	n := copy(p, d.packet)
	d.packet = d.packet[n:]
	return n, nil
}

func (d *datagrams) Write(p []byte) (int, error) {
	d.SetReadDeadline(time.Now().Add(d.idle))
	d.pending = append(d.pending, p...)
	rest := d.pending
	for len(rest) >= 2 {
		n := int(binary.BigEndian.Uint16(rest))
		if len(rest) < 2+n {
			break
		}
		if _, err := d.Conn.Write(rest[2 : 2+n]); err != nil {
			return 0, err
		}
		rest = rest[2+n:]
	}
	d.pending = append(d.pending[:0], rest...)
	return len(p), nil
}

// CloseWrite does nothing: datagrams have no end.
func (d *datagrams) CloseWrite() error { return nil }

// Reset closes the socket.
func (d *datagrams) Reset() { d.Close() }
