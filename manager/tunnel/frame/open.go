// Package frame encodes and decodes the frame that opens a flow and the answer to
// it.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
)

// Limits of the wire format, in bytes.
const (
	// MaxOpen is the largest Open frame, with its first payload.
	MaxOpen = 48 << 10
	// MaxFirst is the largest first payload.
	MaxFirst = 32 << 10
)

// Protocol is the transport protocol of a flow.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = 0
	UDP Protocol = 1
	// ICMP is for echoes (ping), only from the laptop to the cluster.
	ICMP Protocol = 2
)

// String returns "TCP", "UDP" or "ICMP", and "protocol N" for a number that only a
// newer peer knows.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case ICMP:
		return "ICMP"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// Kind says why a flow was opened. A peer answers Unsupported to a kind that it
// does not serve.
type Kind uint8

// The kinds.
const (
	// Captured: a caller has connected to a pod, and the session gets the
	// connection. The pod's agent opens the flow on a line; on a carrier, the relay
	// opens it for the agent.
	Captured Kind = 0
	// Dialed: a program on the laptop has dialed Target. The session opens the flow.
	Dialed Kind = 1
	// Headers: the agent of a pod tells the session which headers requests had, because
	// the session asked. Target is the question, and First an rpc.SeenHeaders. Nothing
	// follows, so the session answers Refused once it has it.
	Headers Kind = 2
	// Environment: the session asks for the environment of a container. The agent answers
	// with an environment in the encoding of package environ, and ends the flow.
	Environment Kind = 3
	// Files: the session asks for a stream to the volumes of a container, in the protocols
	// of package volume.
	Files Kind = 4
	// Network: a program on the laptop has dialed Target, and the session has the agent of
	// a pod dial it from the pod. Target is as for Dialed, where TargetDNS is the pod's name
	// server, or TargetLocalhost with a port, or TargetNames.
	Network Kind = 5
)

// Open is the frame that asks the peer to accept a flow.
type Open struct {
	Kind Kind
	// Intercept is "namespace/name", InterceptUID its UID.
	Intercept    string
	InterceptUID string
	// Session is the name of the session that receives a captured flow or opens a
	// dialed one.
	Session string
	// Protocol and Port are what the caller dialed. Port is that of the pod.
	Protocol Protocol
	Port     uint16
	// Source is the caller's address, as the pod saw it.
	Source netip.AddrPort
	// Target is the destination of a dialed flow: "address:port", the address alone
	// for ICMP, or TargetDNS; see Network, too. Of a flow of the kind Headers it is the
	// question.
	Target string
	// TLS says that the agent took the flow out of TLS, in which the caller named the
	// server ServerName; empty if it named none.
	TLS        bool
	ServerName string
	// Flow is the ID of the flow on its carrier. Lines do not use it.
	Flow uint32
	// First is the first payload of the caller: bytes of TCP, a datagram of UDP, or
	// an echo of ICMP.
	First []byte
}

// Supported says whether the flow is of one of these kinds and of a protocol that this
// program knows. A newer peer may send other kinds and protocols.
func (o *Open) Supported(by ...Kind) bool { return slices.Contains(by, o.Kind) && o.Protocol <= ICMP }

// TargetDNS stands for the name server that the traffic-manager itself uses, over
// UDP.
const TargetDNS = "dns"

// TargetTraffic is no address either: the traffic-manager itself answers, with a
// traffic.Report in JSON, over TCP only.
const TargetTraffic = "traffic"

// The targets that flows of the kind Network have beside those of Dialed.
const (
	// TargetLocalhost, followed by a port, is the localhost of the pod, of either family.
	TargetLocalhost = "localhost:"
	// TargetNames is no destination. The agent answers with what names mean in the pod, in
	// the encoding of package podnames, and ends the flow.
	TargetNames = "names"
)

// Fields of an Open frame.
const (
	openFirst = 0 // the last field: it has no length and takes the rest of the frame
	openKind  = iota
	openProtocol
	openPort
	openFlow
	openSource // the binary form of netip.AddrPort
	openIntercept
	openInterceptUID
	openSession
	openTarget
	openServerName
	openTLS // 1; 0 if there is no such field
)

// maxName is the longest string in an Open frame, in bytes.
const maxName = 1024

var errOpen = errors.New("malformed open frame")

// AppendOpen appends the encoded o to b: the version, the fields, and First.
func AppendOpen(b []byte, o *Open) ([]byte, error) {
	if len(o.First) > MaxFirst {
		return nil, fmt.Errorf("first payload of %d bytes exceeds %d", len(o.First), MaxFirst)
	}
	b = append(b, Version)
	b = AppendNumber(b, openKind, uint64(o.Kind))
	b = AppendNumber(b, openProtocol, uint64(o.Protocol))
	b = AppendNumber(b, openPort, uint64(o.Port))
	b = AppendNumber(b, openFlow, uint64(o.Flow))
	if o.Source != (netip.AddrPort{}) {
		source, err := o.Source.MarshalBinary()
		if err != nil || len(source) > 255 {
			return nil, fmt.Errorf("source address %v cannot be sent", o.Source)
		}
		b = AppendField(b, openSource, source)
	}
	for i, s := range [...]string{o.Intercept, o.InterceptUID, o.Session, o.Target, o.ServerName} {
		if len(s) > maxName {
			return nil, fmt.Errorf("name of %d bytes exceeds %d", len(s), maxName)
		}
		b = AppendField(b, openIntercept+byte(i), s)
	}
	if o.TLS {
		b = AppendNumber(b, openTLS, 1)
	}
	return append(append(b, openFirst), o.First...), nil
}

// ParseOpen decodes a frame. First is a slice of b, not a copy.
func ParseOpen(b []byte) (*Open, error) {
	if len(b) < 1 || len(b) > MaxOpen {
		return nil, errOpen
	}
	if err := CheckVersion(b[0]); err != nil {
		return nil, err
	}
	o := &Open{}
	for b = b[1:]; len(b) > 0 && b[0] != openFirst; {
		tag, value, rest, err := Next(b)
		if err == nil {
			err = o.set(tag, value)
		}
		if err != nil {
			return nil, fmt.Errorf("open frame: %w", err)
		}
		b = rest
	}
	if len(b) == 0 || len(b)-1 > MaxFirst {
		return nil, errOpen
	}
	o.First = b[1:]
	return o, nil
}

// set stores the value of a field. It ignores a field that it does not know.
func (o *Open) set(tag byte, value []byte) error {
	var n uint64
	var err error
	switch tag {
	case openKind:
		n, err = Number(value, math.MaxUint8)
		o.Kind = Kind(n)
	case openProtocol:
		n, err = Number(value, math.MaxUint8)
		o.Protocol = Protocol(n)
	case openPort:
		n, err = Number(value, math.MaxUint16)
		o.Port = uint16(n)
	case openFlow:
		n, err = Number(value, math.MaxUint32)
		o.Flow = uint32(n)
	case openSource:
		err = o.Source.UnmarshalBinary(value)
	case openIntercept:
		o.Intercept, err = name(value)
	case openInterceptUID:
		o.InterceptUID, err = name(value)
	case openSession:
		o.Session, err = name(value)
	case openTarget:
		o.Target, err = name(value)
	case openServerName:
		o.ServerName, err = name(value)
	case openTLS:
		n, err = Number(value, 1)
		o.TLS = n == 1
	}
	return err
}

func name(value []byte) (string, error) {
	if len(value) > maxName {
		return "", errOpen
	}
	return string(value), nil
}

// WriteOpen writes u32 length and frame with a single w.Write. It is for a
// connection that carries one flow after the other.
func WriteOpen(w io.Writer, o *Open) error {
	b, err := AppendOpen(make([]byte, 4, 256+len(o.First)), o)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, err = w.Write(b)
	return err
}

// ReadOpen reads a frame that WriteOpen wrote. First is memory of its own.
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
