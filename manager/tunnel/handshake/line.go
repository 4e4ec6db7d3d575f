package handshake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

var errLine = errors.New("line frame is not the peer's")

const nonceSize = 16

// LineHello is the first frame of a line, from the session.
type LineHello struct {
	Session    string
	Generation uint64
	Direction  Direction
	nonce      [nonceSize]byte
	mac        [sha256.Size]byte
}

// NewLineHello makes a Hello that is good for one line.
func NewLineHello(k *Keys, session string, generation uint64, d Direction) *LineHello {
	h := &LineHello{Session: session, Generation: generation, Direction: d}
	rand.Read(h.nonce[:])
	copy(h.mac[:], h.sum(k))
	return h
}

func (h *LineHello) sum(k *Keys) []byte {
	return k.sum("hello", binary.BigEndian.AppendUint64(nil, h.Generation), []byte{byte(h.Direction)}, h.nonce[:], []byte(h.Session))
}

// Check says whether the holder of the session's token made it.
func (h *LineHello) Check(k *Keys) bool { return hmac.Equal(h.mac[:], h.sum(k)) }

// WriteLineHello sends h.
func WriteLineHello(w io.Writer, h *LineHello) error {
	b := binary.BigEndian.AppendUint64([]byte{handshakeVersion, byte(h.Direction)}, h.Generation)
	b = append(append(b, h.nonce[:]...), h.mac[:]...)
	return writeFrame(w, appendStrings(b, h.Session))
}

// ReadLineHello reads one. It is not checked yet.
func ReadLineHello(r io.Reader) (*LineHello, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseLineHello(b)
}

func parseLineHello(b []byte) (*LineHello, error) {
	const fixed = 2 + 8 + nonceSize + sha256.Size
	if len(b) < fixed || b[0] != handshakeVersion || Direction(b[1]) > Outbound {
		return nil, errHandshake
	}
	h := &LineHello{Direction: Direction(b[1]), Generation: binary.BigEndian.Uint64(b[2:])}
	copy(h.nonce[:], b[10:])
	copy(h.mac[:], b[10+nonceSize:])
	return h, parseStrings(b[fixed:], &h.Session)
}

// LineRequest is an agent's wish for a line.
type LineRequest struct {
	Session string
	// Intercept is "namespace/name", InterceptUID its UID. The line carries
	// flows of it and of no other.
	Intercept, InterceptUID string
}

// LineJoined tells the session which agent has its line from now on, and for
// which intercept.
type LineJoined struct {
	// Agent is the pin of the agent's certificate, Pod its "namespace/name".
	Agent                   Pin
	Pod                     string
	Intercept, InterceptUID string
}

// WriteLineJoined sends j, in answer to h.
func WriteLineJoined(w io.Writer, k *Keys, h *LineHello, j *LineJoined) error {
	b := append([]byte{handshakeVersion}, j.Agent[:]...)
	b = append(b, j.sum(k, h)...)
	return writeFrame(w, appendStrings(b, j.Pod, j.Intercept, j.InterceptUID))
}

func (j *LineJoined) sum(k *Keys, h *LineHello) []byte {
	return k.sum("joined", h.nonce[:], j.Agent[:], []byte(j.Pod), []byte(j.Intercept), []byte(j.InterceptUID))
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

func parseLineJoined(b []byte, k *Keys, h *LineHello) (*LineJoined, error) {
	const fixed = 1 + pinSize + sha256.Size
	if len(b) < fixed || b[0] != handshakeVersion {
		return nil, errHandshake
	}
	j := &LineJoined{Agent: Pin(b[1 : 1+pinSize])}
	if err := parseStrings(b[fixed:], &j.Pod, &j.Intercept, &j.InterceptUID); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(b[1+pinSize:fixed], j.sum(k, h)) != 1 {
		return nil, errLine
	}
	return j, nil
}

// WriteLineRequest asks a relay for a line, on a connection of ALPNLine.
func WriteLineRequest(w io.Writer, q *LineRequest) error {
	return writeFrame(w, appendStrings([]byte{handshakeVersion}, q.Session, q.Intercept, q.InterceptUID))
}

// ReadLineRequest reads one.
func ReadLineRequest(r io.Reader) (*LineRequest, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseLineRequest(b)
}

func parseLineRequest(b []byte) (*LineRequest, error) {
	if len(b) < 1 || b[0] != handshakeVersion {
		return nil, errHandshake
	}
	q := &LineRequest{}
	return q, parseStrings(b[1:], &q.Session, &q.Intercept, &q.InterceptUID)
}

// WriteLineAnswer says whether there is a line, and the session's pin.
func WriteLineAnswer(w io.Writer, v frame.Verdict, session Pin) error {
	return writeFrame(w, append([]byte{handshakeVersion, byte(v)}, session[:]...))
}

// ReadLineAnswer reads one.
func ReadLineAnswer(r io.Reader) (frame.Verdict, Pin, error) {
	b, err := readFrame(r)
	if err != nil {
		return 0, Pin{}, err
	}
	return parseLineAnswer(b)
}

func parseLineAnswer(b []byte) (frame.Verdict, Pin, error) {
	if len(b) != 2+pinSize || b[0] != handshakeVersion {
		return 0, Pin{}, errHandshake
	}
	v, err := frame.ParseVerdict(b[1])
	return v, Pin(b[2:]), err
}

// OfIntercept allows the flows of the intercept that a line was joined for.
func (j *LineJoined) OfIntercept(o *frame.Open) bool {
	return o.Intercept == j.Intercept && o.InterceptUID == j.InterceptUID
}
