package handshake

import (
	"io"
	"math"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// LineRequest asks a relay for a line to a session.
type LineRequest struct {
	Session string
	// Intercept is "namespace/name", InterceptUID its UID. The line carries flows of
	// this intercept only.
	Intercept, InterceptUID string
	// FromSession says that the session opens the flows of the line, and the agent serves
	// them. Otherwise it is the other way round.
	FromSession bool
}

// Fields of a LineRequest.
const (
	requestSession      = 1
	requestIntercept    = 2
	requestInterceptUID = 3
	requestFromSession  = 4 // 1; there is no such field otherwise
)

// WriteLineRequest sends q on a connection that selected ALPNLine.
func WriteLineRequest(w io.Writer, q *LineRequest) error {
	b := appendText([]byte{frame.Version}, requestSession, q.Session)
	b = appendText(b, requestIntercept, q.Intercept)
	b = appendText(b, requestInterceptUID, q.InterceptUID)
	if q.FromSession {
		b = frame.AppendNumber(b, requestFromSession, 1)
	}
	return writeFrame(w, b)
}

// ReadLineRequest reads a LineRequest.
func ReadLineRequest(r io.Reader) (*LineRequest, error) {
	b, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return parseLineRequest(b)
}

func parseLineRequest(b []byte) (*LineRequest, error) {
	q := &LineRequest{}
	_, err := parse(b, func(tag byte, value []byte) (err error) {
		switch tag {
		case requestSession:
			q.Session = string(value)
		case requestIntercept:
			q.Intercept = string(value)
		case requestInterceptUID:
			q.InterceptUID = string(value)
		case requestFromSession:
			q.FromSession, err = flag(value)
		}
		return err
	})
	return q, err
}

// flag is the value of a field that says yes or no.
func flag(value []byte) (bool, error) {
	n, err := frame.Number(value, 1)
	return n == 1, err
}

// Fields of the answer to a LineRequest.
const (
	answerVerdict = 1
	answerSession = 2
)

// WriteLineAnswer answers a LineRequest. After Accepted, the connection is the
// line, and session is the pin of its other end.
func WriteLineAnswer(w io.Writer, v frame.Verdict, session Pin) error {
	b := frame.AppendNumber([]byte{frame.Version}, answerVerdict, uint64(v))
	return writeFrame(w, frame.AppendField(b, answerSession, session[:]))
}

// ReadLineAnswer reads the answer to a LineRequest.
func ReadLineAnswer(r io.Reader) (frame.Verdict, Pin, error) {
	b, err := readFrame(r)
	if err != nil {
		return 0, Pin{}, err
	}
	return parseLineAnswer(b)
}

func parseLineAnswer(b []byte) (v frame.Verdict, session Pin, err error) {
	_, err = parse(b, func(tag byte, value []byte) (err error) {
		switch tag {
		case answerVerdict:
			var n uint64
			n, err = frame.Number(value, math.MaxUint8)
			v = frame.Verdict(n)
		case answerSession:
			err = exactly(session[:], value)
		}
		return err
	})
	if err == nil && v == 0 {
		err = errHandshake
	}
	return v, session, err
}
