// Package handshake is the first frames of carriers and lines: they say who is on
// each end.
package handshake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Names on the manager's single port and path.
const (
	// ALPNAgent selects the agents' control protocol, package rpc.
	ALPNAgent = "kubectl-intercept-agent/1"
	// ALPNFlow selects flows, one after the other.
	ALPNFlow = "kubectl-intercept-flow/1"
	// ALPNLine selects a line; see LineHello.
	ALPNLine = "kubectl-intercept-line/1"
	// UpgradeProtocol is the HTTP Upgrade token of a carrier.
	UpgradeProtocol = "kubectl-intercept-tunnel-1"
	// UpgradePath is where the manager accepts carriers.
	UpgradePath = "/tunnel"
	// LineUpgradeProtocol and LineUpgradePath are those of a line.
	LineUpgradeProtocol = "kubectl-intercept-line-1"
	LineUpgradePath     = "/line"
)

// maxFrame bounds a Hello or Welcome frame, in bytes.
const maxFrame = 4 << 10

// Direction says who opens flows on a carrier.
type Direction uint8

// The directions, seen from the laptop.
const (
	// Inbound: the relay opens flows, the session is the gRPC server.
	Inbound Direction = 0
	// Outbound: the session opens flows, the relay is the gRPC server.
	Outbound Direction = 1
)

// String is "inbound" or "outbound".
func (d Direction) String() string {
	if d == Outbound {
		return "outbound"
	}
	return "inbound"
}

// TokenSize is the length of a session token in bytes.
const TokenSize = 32

// Hello is the first frame of a carrier, from the session.
type Hello struct {
	// Session is the name of the Session object, Token the secret whose hash
	// the object carries.
	Session string
	Token   [TokenSize]byte
	// Generation names one run of the session process; carriers of an older
	// run are dropped when a newer one says Hello.
	Generation uint64
	Direction  Direction
	// Version of the plugin.
	Version string
}

// Welcome is the relay's answer.
type Welcome struct {
	// Refusal is why the carrier is refused; empty means welcome.
	Refusal string
	// Pod is the replica's pod name, Version its version.
	Pod     string
	Version string
	// Domain is the cluster's DNS domain, "cluster.local".
	Domain string
}

const handshakeVersion = 1

var errHandshake = errors.New("malformed handshake frame")

// WriteHello sends h.
func WriteHello(w io.Writer, h *Hello) error {
	b := []byte{handshakeVersion, byte(h.Direction)}
	b = binary.BigEndian.AppendUint64(b, h.Generation)
	b = append(b, h.Token[:]...)
	return writeFrame(w, appendStrings(b, h.Session, h.Version))
}

// ReadHello reads a Hello.
func ReadHello(r io.Reader) (*Hello, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseHello(b)
}

func parseHello(b []byte) (*Hello, error) {
	if len(b) < 10+TokenSize {
		return nil, errHandshake
	}
	if b[0] != handshakeVersion {
		return nil, fmt.Errorf("handshake of version %d, want %d: plugin and traffic-manager are too far apart, run kubectl intercept upgrade", b[0], handshakeVersion)
	}
	h := &Hello{Direction: Direction(b[1]), Generation: binary.BigEndian.Uint64(b[2:])}
	if h.Direction > Outbound {
		return nil, errHandshake
	}
	copy(h.Token[:], b[10:])
	return h, parseStrings(b[10+TokenSize:], &h.Session, &h.Version)
}

// WriteWelcome sends w.
func WriteWelcome(w io.Writer, m *Welcome) error {
	return writeFrame(w, appendStrings([]byte{handshakeVersion}, m.Refusal, m.Pod, m.Version, m.Domain))
}

// ReadWelcome reads a Welcome.
func ReadWelcome(r io.Reader) (*Welcome, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseWelcome(b)
}

func parseWelcome(b []byte) (*Welcome, error) {
	if len(b) < 1 || b[0] != handshakeVersion {
		return nil, errHandshake
	}
	m := &Welcome{}
	return m, parseStrings(b[1:], &m.Refusal, &m.Pod, &m.Version, &m.Domain)
}

func appendStrings(b []byte, list ...string) []byte {
	for _, s := range list {
		s = s[:min(len(s), 1024)]
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

func parseStrings(b []byte, list ...*string) error {
	for _, s := range list {
		if len(b) < 2 {
			return errHandshake
		}
		n := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if len(b) < n {
			return errHandshake
		}
		*s, b = string(b[:n]), b[n:]
	}
	if len(b) != 0 {
		return errHandshake
	}
	return nil
}

func writeFrame(w io.Writer, body []byte) error {
	if len(body) > maxFrame {
		return errHandshake
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(body)), uint16(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > maxFrame {
		return nil, errHandshake
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	return b, nil
}
