package handshake

import (
	"crypto/rand"
	"errors"
	"io"
	"math"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const nonceSize = 16

// LineHello is the first frame of a line. The session sends it.
type LineHello struct {
	Session    string
	Generation uint64
	Direction  Direction
	nonce      [nonceSize]byte
	sealed     []byte // the frame itself
}

// Fields of a LineHello.
const (
	lineHelloSession    = 1
	lineHelloGeneration = 2
	lineHelloDirection  = 3
	lineHelloNonce      = 4
)

// NewLineHello makes a LineHello that is valid for one line.
func NewLineHello(s *Secret, session string, generation uint64, d Direction) *LineHello {
	h := &LineHello{Session: session, Generation: generation, Direction: d}
	rand.Read(h.nonce[:])
	b := appendText([]byte{frame.Version}, lineHelloSession, session)
	b = frame.AppendNumber(b, lineHelloGeneration, generation)
	b = frame.AppendNumber(b, lineHelloDirection, uint64(d))
	h.sealed = s.seal("hello", nil, frame.AppendField(b, lineHelloNonce, h.nonce[:]))
	return h
}

// Check says whether the sender of h has the session's secret.
func (h *LineHello) Check(s *Secret) bool { return s.sealed("hello", nil, h.sealed) }

// WriteLineHello sends h.
func WriteLineHello(w io.Writer, h *LineHello) error { return writeFrame(w, h.sealed) }

// ReadLineHello reads a LineHello. The caller must Check it.
func ReadLineHello(r io.Reader) (*LineHello, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseLineHello(b)
}

func parseLineHello(b []byte) (*LineHello, error) {
	h := &LineHello{sealed: b}
	_, err := parse(b, func(tag byte, value []byte) (err error) {
		switch tag {
		case lineHelloSession:
			h.Session = string(value)
		case lineHelloGeneration:
			h.Generation, err = frame.Number(value, math.MaxUint64)
		case lineHelloDirection:
			h.Direction, err = direction(value)
		case lineHelloNonce:
			err = exactly(h.nonce[:], value)
		}
		return err
	})
	return h, err
}

// LineAssigned tells the session to which agent and which intercept its line
// belongs from now on.
type LineAssigned struct {
	// Agent is the pin of the agent's certificate. Pod is "namespace/name" of the
	// agent.
	Agent                   Pin
	Pod                     string
	Intercept, InterceptUID string
	// FromSession says that the session opens the flows of the line.
	FromSession bool
}

// Fields of a LineAssigned.
const (
	assignedAgent        = 1
	assignedPod          = 2
	assignedIntercept    = 3
	assignedInterceptUID = 4
	assignedFromSession  = 5 // 1; there is no such field otherwise
)

// WriteLineAssigned sends j as the answer to h.
func WriteLineAssigned(w io.Writer, s *Secret, h *LineHello, j *LineAssigned) error {
	b := frame.AppendField([]byte{frame.Version}, assignedAgent, j.Agent[:])
	b = appendText(b, assignedPod, j.Pod)
	b = appendText(b, assignedIntercept, j.Intercept)
	b = appendText(b, assignedInterceptUID, j.InterceptUID)
	if j.FromSession {
		b = frame.AppendNumber(b, assignedFromSession, 1)
	}
	return writeFrame(w, s.seal("assigned", h.nonce[:], b))
}

// WriteLineKeepalive tells the session that the relay still holds its idle line.
func WriteLineKeepalive(w io.Writer) error { return writeFrame(w, nil) }

// ReadLineAssigned waits for the answer to h. It calls alive for each keepalive.
func ReadLineAssigned(r io.Reader, s *Secret, h *LineHello, alive func()) (*LineAssigned, error) {
	for {
		b, err := readFrame(r)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			alive()
			continue
		}
		return parseLineAssigned(b, s, h)
	}
}

var errLine = errors.New("line frame is not the peer's")

func parseLineAssigned(b []byte, s *Secret, h *LineHello) (*LineAssigned, error) {
	if !s.sealed("assigned", h.nonce[:], b) {
		return nil, errLine
	}
	j := &LineAssigned{}
	_, err := parse(b, func(tag byte, value []byte) (err error) {
		switch tag {
		case assignedAgent:
			err = exactly(j.Agent[:], value)
		case assignedPod:
			j.Pod = string(value)
		case assignedIntercept:
			j.Intercept = string(value)
		case assignedInterceptUID:
			j.InterceptUID = string(value)
		case assignedFromSession:
			j.FromSession, err = flag(value)
		}
		return err
	})
	return j, err
}

// OfIntercept says whether a flow belongs to the intercept of the line.
func (j *LineAssigned) OfIntercept(o *frame.Open) bool {
	return o.Intercept == j.Intercept && o.InterceptUID == j.InterceptUID
}
