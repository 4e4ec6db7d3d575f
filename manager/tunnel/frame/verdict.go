package frame

import (
	"fmt"
	"io"
)

// Verdict is the answer to an Open on a line or on the agent's leg: one byte,
// and behind Denied a reason.
type Verdict uint8

// The verdicts.
const (
	// Accepted: the program on the laptop has the connection.
	Accepted Verdict = 1
	// Refused: nothing listens there.
	Refused Verdict = 2
	// NoSession: this relay has no carrier of the session.
	NoSession Verdict = 3
	// Denied: the agent's pod is not part of the intercept, or the session's
	// user may not dial the target.
	Denied Verdict = 4
	// NoLine: the session has no line to spare.
	NoLine Verdict = 5
	// TimedOut: the target of an outbound flow does not answer.
	TimedOut Verdict = 6
	// Unreachable: there is no way to the target of an outbound flow.
	Unreachable Verdict = 7
)

// String is the verdict in a word.
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
		return "no line to spare"
	case TimedOut:
		return "timed out"
	case Unreachable:
		return "unreachable"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// WriteVerdict sends v, without a reason.
func WriteVerdict(w io.Writer, v Verdict) error { return WriteAnswer(w, v, "") }

// ReadAnswer reads a verdict and, if there is one, its reason.
func ReadAnswer(r io.Reader) (Verdict, string, error) {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, "", err
	}
	v, err := ParseVerdict(b[0])
	if err != nil || v != Denied {
		return v, "", err
	}
	reason, err := readReason(r)
	return v, reason, err
}

// WriteAnswer sends v and, behind Denied, the reason.
func WriteAnswer(w io.Writer, v Verdict, reason string) error {
	b := []byte{byte(v)}
	if v == Denied {
		b = appendReason(b, reason)
	}
	_, err := w.Write(b)
	return err
}

func ParseVerdict(b byte) (Verdict, error) {
	if v := Verdict(b); v >= Accepted && v <= Unreachable {
		return v, nil
	}
	return 0, fmt.Errorf("unknown verdict %d", b)
}
