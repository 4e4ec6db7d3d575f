package handshake

import (
	"crypto/rand"
	"errors"
	"io"
	"math"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const nonceSize = 16

// LineHello is the first frame of a line, from the session.
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

// NewLineHello makes a Hello that is good for one line.
func NewLineHello(k *Keys, session string, generation uint64, d Direction) *LineHello {
	h := &LineHello{Session: session, Generation: generation, Direction: d}
	rand.Read(h.nonce[:])
	b := appendText([]byte{frame.Version}, lineHelloSession, session)
	b = frame.AppendNumber(b, lineHelloGeneration, generation)
	b = frame.AppendNumber(b, lineHelloDirection, uint64(d))
	h.sealed = k.seal("hello", nil, frame.AppendField(b, lineHelloNonce, h.nonce[:]))
	return h
}

// Check says whether the holder of the session's token made it.
func (h *LineHello) Check(k *Keys) bool { return k.sealed("hello", nil, h.sealed) }

// WriteLineHello sends h.
func WriteLineHello(w io.Writer, h *LineHello) error { return writeFrame(w, h.sealed) }

// ReadLineHello reads one. It is not checked yet.
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

// LineJoined tells the session which agent has its line from now on, and for
// which intercept.
type LineJoined struct {
	// Agent is the pin of the agent's certificate, Pod its "namespace/name".
	Agent                   Pin
	Pod                     string
	Intercept, InterceptUID string
}

// Fields of a LineJoined.
const (
	joinedAgent        = 1
	joinedPod          = 2
	joinedIntercept    = 3
	joinedInterceptUID = 4
)

// WriteLineJoined sends j, in answer to h.
func WriteLineJoined(w io.Writer, k *Keys, h *LineHello, j *LineJoined) error {
	b := frame.AppendField([]byte{frame.Version}, joinedAgent, j.Agent[:])
	b = appendText(b, joinedPod, j.Pod)
	b = appendText(b, joinedIntercept, j.Intercept)
	b = appendText(b, joinedInterceptUID, j.InterceptUID)
	return writeFrame(w, k.seal("joined", h.nonce[:], b))
}

// WriteLineKeepalive tells the session that its line is still wanted.
func WriteLineKeepalive(w io.Writer) error { return writeFrame(w, nil) }

// ReadLineJoined waits for the answer to h. Alive is called for each keepalive.
func ReadLineJoined(r io.Reader, k *Keys, h *LineHello, alive func()) (*LineJoined, error) {
	for {
		b, err := readFrame(r)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			alive()
			continue
		}
		return parseLineJoined(b, k, h)
	}
}

var errLine = errors.New("line frame is not the peer's")

func parseLineJoined(b []byte, k *Keys, h *LineHello) (*LineJoined, error) {
	if !k.sealed("joined", h.nonce[:], b) {
		return nil, errLine
	}
	j := &LineJoined{}
	_, err := parse(b, func(tag byte, value []byte) (err error) {
		switch tag {
		case joinedAgent:
			err = exactly(j.Agent[:], value)
		case joinedPod:
			j.Pod = string(value)
		case joinedIntercept:
			j.Intercept = string(value)
		case joinedInterceptUID:
			j.InterceptUID = string(value)
		}
		return err
	})
	return j, err
}

// OfIntercept allows the flows of the intercept that a line was joined for.
func (j *LineJoined) OfIntercept(o *frame.Open) bool {
	return o.Intercept == j.Intercept && o.InterceptUID == j.InterceptUID
}
