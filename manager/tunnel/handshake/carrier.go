package handshake

import (
	"io"
	"math"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Hello is the first frame of a carrier. The session sends it. The private key of the
// carrier's TLS proves that the session is the one that it names.
type Hello struct {
	// Session is the name of the Session object.
	Session string
	// Secret authenticates the frames of the lines of this process.
	Secret Secret
	// Generation identifies one run of the session process. The Hello of a newer
	// run ends the carriers of older runs.
	Generation uint64
	Direction  Direction
	// Version is that of the plugin.
	Version string
	// Protocol is the frame.Version of the plugin. ReadHello sets it.
	Protocol uint8
}

// Welcome is the relay's answer to a Hello.
type Welcome struct {
	// Refusal says why the relay refuses the carrier; it is empty if the relay
	// accepts.
	Refusal string
	// Pod is the name of the relay's pod. Version is that of the traffic-manager.
	Pod     string
	Version string
	// Domain is the cluster's DNS domain, "cluster.local".
	Domain string
	// Renew says, with a Refusal, that the session will be admitted once an object has
	// renewed its Session.
	Renew bool
	// Took is how long the relay took to decide, to microseconds.
	Took time.Duration
	// Protocol is the frame.Version of the relay. ReadWelcome sets it.
	Protocol uint8
}

// Fields of a Hello.
const (
	helloSession    = 1
	helloSecret     = 2
	helloGeneration = 3
	helloDirection  = 4
	helloVersion    = 5
)

// WriteHello sends h.
func WriteHello(w io.Writer, h *Hello) error {
	b := appendText([]byte{frame.Version}, helloSession, h.Session)
	b = frame.AppendField(b, helloSecret, h.Secret[:])
	b = frame.AppendNumber(b, helloGeneration, h.Generation)
	b = frame.AppendNumber(b, helloDirection, uint64(h.Direction))
	return writeFrame(w, appendText(b, helloVersion, h.Version))
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
	h := &Hello{}
	var err error
	h.Protocol, err = parse(b, func(tag byte, value []byte) (err error) {
		switch tag {
		case helloSession:
			h.Session = string(value)
		case helloSecret:
			err = exactly(h.Secret[:], value)
		case helloGeneration:
			h.Generation, err = frame.Number(value, math.MaxUint64)
		case helloDirection:
			h.Direction, err = direction(value)
		case helloVersion:
			h.Version = string(value)
		}
		return err
	})
	return h, err
}

// Fields of a Welcome.
const (
	welcomeRefusal = 1
	welcomePod     = 2
	welcomeVersion = 3
	welcomeDomain  = 4
	welcomeRenew   = 5
	welcomeTook    = 6
)

// WriteWelcome sends m.
func WriteWelcome(w io.Writer, m *Welcome) error {
	b := appendText([]byte{frame.Version}, welcomeRefusal, m.Refusal)
	b = appendText(b, welcomePod, m.Pod)
	b = appendText(b, welcomeVersion, m.Version)
	b = appendText(b, welcomeDomain, m.Domain)
	b = frame.AppendNumber(b, welcomeTook, uint64(max(m.Took, 0).Microseconds()))
	if m.Renew {
		b = frame.AppendNumber(b, welcomeRenew, 1)
	}
	return writeFrame(w, b)
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
	m := &Welcome{}
	var err error
	m.Protocol, err = parse(b, func(tag byte, value []byte) (err error) {
		switch tag {
		case welcomeRenew:
			var n uint64
			n, err = frame.Number(value, 1)
			m.Renew = n == 1
		case welcomeTook:
			var n uint64
			n, err = frame.Number(value, uint64(time.Hour.Microseconds()))
			m.Took = time.Duration(n) * time.Microsecond
		case welcomeRefusal:
			m.Refusal = string(value)
		case welcomePod:
			m.Pod = string(value)
		case welcomeVersion:
			m.Version = string(value)
		case welcomeDomain:
			m.Domain = string(value)
		}
		return err
	})
	return m, err
}
