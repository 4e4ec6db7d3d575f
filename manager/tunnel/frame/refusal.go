package frame

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors for the answers of a peer that does not accept a flow.
var (
	// ErrRefused: nothing listens at the destination.
	ErrRefused = errors.New("refused")
	// ErrDenied: the peer does not allow the flow.
	ErrDenied = errors.New("denied")
	// ErrTimedOut: the target does not answer.
	ErrTimedOut = errors.New("timed out")
	// ErrUnreachable: there is no route to the target.
	ErrUnreachable = errors.New("unreachable")
	// ErrUnsupported: the peer does not serve that kind of flow.
	ErrUnsupported = errors.New("unsupported kind of flow")
)

// maxReason is the longest Reason of a DeniedError that is sent, in bytes.
const maxReason = 512

// DeniedError is ErrDenied with the peer's reason, a text for the user.
type DeniedError struct{ Reason string }

// Error returns the reason, or the text of ErrDenied if there is none.
func (e *DeniedError) Error() string {
	if e.Reason == "" {
		return ErrDenied.Error()
	}
	return e.Reason
}

// Unwrap returns ErrDenied.
func (e *DeniedError) Unwrap() error { return ErrDenied }

// Answered says whether err is the peer's answer to an Open. If it is not, the flow
// has not reached the peer.
func Answered(err error) bool {
	v, _ := AnswerOf(err)
	return v != NoSession
}

// AnswerOf returns the verdict that a Handler's error stands for, and the reason
// that a DeniedError gives. It returns NoSession for an error that is no answer.
func AnswerOf(err error) (v Verdict, reason string) {
	var d *DeniedError
	switch {
	case errors.As(err, &d):
		return Denied, clean(d.Reason)
	case errors.Is(err, ErrDenied):
		return Denied, ""
	case errors.Is(err, ErrRefused):
		return Refused, ""
	case errors.Is(err, ErrTimedOut):
		return TimedOut, ""
	case errors.Is(err, ErrUnreachable):
		return Unreachable, ""
	case errors.Is(err, ErrUnsupported):
		return Unsupported, ""
	}
	return NoSession, ""
}

// Err returns the error that a verdict stands for, nil for Accepted. It uses the
// reason only for Denied.
func (v Verdict) Err(reason string) error {
	switch v {
	case Accepted:
		return nil
	case Refused:
		return ErrRefused
	case Denied:
		return denied(reason)
	case TimedOut:
		return ErrTimedOut
	case Unreachable:
		return ErrUnreachable
	case Unsupported:
		return ErrUnsupported
	}
	return fmt.Errorf("traffic-manager: %s", v)
}

func denied(reason string) error {
	if reason = clean(reason); reason == "" || reason == ErrDenied.Error() {
		return ErrDenied
	}
	return &DeniedError{reason}
}

// clean reduces a peer's text to one printable line of at most maxReason bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	if len(s) > maxReason {
		n := maxReason
		for !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.TrimSpace(s)
}
