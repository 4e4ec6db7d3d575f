// Package datagram carries UDP datagrams and ICMP echoes within a flow.
//
// A UDP flow is a stream of datagrams. Each is a u16 length and the payload, except
// the first one: it is in the Open frame and has no length. The acceptor ends the
// flow when it has been idle for some time. The acceptor resets the flow when the
// destination reports that the port is unreachable.
//
// An ICMP flow, IPv4 or IPv6, carries the echoes between one program and one
// address: requests in one direction, replies in the other. Each message is a
// datagram that holds a u16 sequence number and the payload. The acceptor chooses
// the ICMP identifier. It sends every request to the address, and answers none
// itself.
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

// Write writes one datagram of a UDP flow, u16 length and payload, with a single
// w.Write.
func Write(w io.Writer, p []byte) error {
	if len(p) > Max {
		return fmt.Errorf("datagram of %d bytes exceeds %d", len(p), Max)
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(p)), uint16(len(p)))
	_, err := w.Write(append(b, p...))
	return err
}

// Read reads one datagram into buf. It fails if buf is too small; Max bytes are
// enough for every datagram of Write.
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

// New makes a Stream of a connected UDP socket. A reader gets each datagram with
// its length in front, and a writer must write datagrams in the same form. The
// stream ends when no datagram has passed in either direction for the duration
// idle.
func New(c net.Conn, idle time.Duration) tunnel.Stream {
	return &datagrams{Conn: c, idle: idle}
}

type datagrams struct {
	net.Conn
	idle    time.Duration
	pending []byte // written by the caller, not yet a whole datagram
	packet  []byte // received, with its length; what the caller has not read yet
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

// CloseWrite does nothing: UDP has no half-close.
func (d *datagrams) CloseWrite() error { return nil }

// Reset closes the socket.
func (d *datagrams) Reset() { d.Close() }
