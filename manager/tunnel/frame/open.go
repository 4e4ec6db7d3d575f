// Package frame is the bytes that open a flow and the bytes that answer it.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Limits of the wire format, in bytes.
const (
	// MaxOpen bounds an Open frame with its first payload.
	MaxOpen = 48 << 10
	// MaxFirst bounds the first payload within it.
	MaxFirst = 32 << 10
)

// Protocol is the transport protocol of a flow.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = 0
	UDP Protocol = 1
	// ICMP is for echoes (ping), outbound only.
	ICMP Protocol = 2
)

// String is "TCP", "UDP" or "ICMP".
func (p Protocol) String() string {
	switch p {
	case UDP:
		return "UDP"
	case ICMP:
		return "ICMP"
	}
	return "TCP"
}

// Open asks the other side to take a flow.
type Open struct {
	// Intercept is "namespace/name", InterceptUID its UID.
	Intercept    string
	InterceptUID string
	// Session is the name of the session that is to receive the flow.
	Session string
	// Protocol and Port are what the caller dialled; Port is the pod's.
	Protocol Protocol
	Port     uint16
	// Source is the caller, as the pod saw it.
	Source netip.AddrPort
	// Target is what an outbound flow goes to: "address:port", the address
	// alone for ICMP, or TargetDNS. Empty for inbound ones.
	Target string
	// Flow identifies the flow on its carrier; the agent's leg does not use it.
	Flow uint32
	// First holds the first bytes of the caller; for UDP, the first datagram,
	// for ICMP, the first echo.
	First []byte
}

// TargetDNS is the name server that the traffic-manager itself uses, by UDP.
const TargetDNS = "dns"

const openVersion = 1

var errOpen = errors.New("malformed open frame")

// AppendOpen appends the frame to b:
//
//	version u8, protocol u8, port u16, flow u32,
//	source u8 length + binary form of netip.AddrPort,
//	intercept, UID, session, target: u16 length + bytes each, first: the rest
//
// All numbers are big endian.
func AppendOpen(b []byte, o *Open) ([]byte, error) {
	if len(o.First) > MaxFirst {
		return nil, fmt.Errorf("first payload of %d bytes exceeds %d", len(o.First), MaxFirst)
	}
	b = append(b, openVersion, byte(o.Protocol))
	b = binary.BigEndian.AppendUint16(b, o.Port)
	b = binary.BigEndian.AppendUint32(b, o.Flow)
	source, err := o.Source.MarshalBinary()
	if err != nil || len(source) > 255 {
		return nil, fmt.Errorf("source address %v cannot be sent", o.Source)
	}
	b = append(b, byte(len(source)))
	b = append(b, source...)
	for _, s := range []string{o.Intercept, o.InterceptUID, o.Session, o.Target} {
		if len(s) > 1024 {
			return nil, fmt.Errorf("name of %d bytes exceeds 1024", len(s))
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return append(b, o.First...), nil
}

// ParseOpen reads a frame. First borrows from b.
func ParseOpen(b []byte) (*Open, error) {
	if len(b) < 9 || len(b) > MaxOpen {
		return nil, errOpen
	}
	if b[0] != openVersion {
		return nil, fmt.Errorf("open frame of version %d, want %d", b[0], openVersion)
	}
	o := &Open{Protocol: Protocol(b[1]), Port: binary.BigEndian.Uint16(b[2:]), Flow: binary.BigEndian.Uint32(b[4:])}
	if o.Protocol > ICMP {
		return nil, fmt.Errorf("open frame of protocol %d", b[1])
	}
	n := int(b[8])
	b = b[9:]
	if len(b) < n {
		return nil, errOpen
	}
	if err := o.Source.UnmarshalBinary(b[:n]); err != nil {
		return nil, fmt.Errorf("source address: %w", err)
	}
	b = b[n:]
	for _, s := range []*string{&o.Intercept, &o.InterceptUID, &o.Session, &o.Target} {
		if len(b) < 2 {
			return nil, errOpen
		}
		n := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if n > 1024 || len(b) < n {
			return nil, errOpen
		}
		*s, b = string(b[:n]), b[n:]
	}
	if len(b) > MaxFirst {
		return nil, errOpen
	}
	o.First = b
	return o, nil
}

// WriteOpen sends the frame on the agent's leg, behind a u32 length, in one
// Write.
func WriteOpen(w io.Writer, o *Open) error {
	b, err := AppendOpen(make([]byte, 4, 256+len(o.First)), o)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, err = w.Write(b)
	return err
}

// ReadOpen reads what WriteOpen sent. The frame owns its memory.
func ReadOpen(r io.Reader) (*Open, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxOpen {
		return nil, fmt.Errorf("open frame of %d bytes exceeds %d", n, MaxOpen)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("open frame: %w", err)
	}
	return ParseOpen(b)
}
