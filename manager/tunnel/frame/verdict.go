package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Verdict is the answer to an Open, or to a request for a line.
type Verdict uint8

// The verdicts.
const (
	// Accepted: the destination has the connection, or the relay has found a line.
	Accepted Verdict = 1
	// Refused: nothing listens at the destination.
	Refused Verdict = 2
	// NoSession: the relay that answers has no carrier of the session.
	NoSession Verdict = 3
	// Denied: the agent's pod is not part of the intercept, or the session's
	// user may not dial the target.
	Denied Verdict = 4
	// NoLine: the session has no idle line.
	NoLine Verdict = 5
	// TimedOut: the target of a dialed flow does not answer.
	TimedOut Verdict = 6
	// Unreachable: there is no route to the target of a dialed flow.
	Unreachable Verdict = 7
	// Unsupported: the side that answers does not serve the kind or the protocol of
	// the flow. It may run an older version.
	Unsupported Verdict = 8
)

// String describes the verdict in a few words.
func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Refused:
		return "refused"
	case NoSession:
		return "no session"
	case Denied:
		return "denied"
	case NoLine:
		return "no idle line"
	case TimedOut:
		return "timed out"
	case Unreachable:
		return "unreachable"
	case Unsupported:
		return "unsupported kind of flow"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// WriteVerdict answers an Open with a verdict, without a reason.
func WriteVerdict(w io.Writer, v Verdict) error { return writeAnswer(w, v, "") }

// WriteRefusal answers an Open with the verdict and the reason of a Handler's
// error: see AnswerOf.
func WriteRefusal(w io.Writer, err error) error {
	v, reason := AnswerOf(err)
	return writeAnswer(w, v, reason)
}

const (
	// maxAnswer is the largest answer, in bytes.
	maxAnswer = 4 << 10
	// answerReason is the field with the reason of Denied.
	answerReason = 1
)

// writeAnswer writes u16 length, version, verdict and fields with a single w.Write.
func writeAnswer(w io.Writer, v Verdict, reason string) error {
	b := AppendField([]byte{0, 0, Version, byte(v)}, answerReason, reason)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	_, err := w.Write(b)
	return err
}

// ReadAnswer reads an answer. A newer peer may send a verdict that this program
// does not know.
func ReadAnswer(r io.Reader) (v Verdict, reason string, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	n := int(binary.BigEndian.Uint16(head[:])) - 2
	if n < 0 || n > maxAnswer || head[3] == 0 {
		return 0, "", errAnswer
	}
	if err := CheckVersion(head[2]); err != nil {
		return 0, "", err
	}
	if n == 0 {
		return Verdict(head[3]), "", nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, "", fmt.Errorf("answer to an open: %w", err)
	}
	for len(b) > 0 {
		var tag byte
		var value []byte
		if tag, value, b, err = Next(b); err != nil {
			return 0, "", err
		}
		if tag == answerReason {
			reason = clean(string(value))
		}
	}
	return Verdict(head[3]), reason, nil
}

var errAnswer = errors.New("malformed answer to an open")
