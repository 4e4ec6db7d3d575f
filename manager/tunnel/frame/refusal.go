package frame

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Answers of a far side that does not take a flow.
var (
	// ErrRefused: nothing listens there.
	ErrRefused = errors.New("refused")
	// ErrDenied: the far side does not allow the flow.
	ErrDenied = errors.New("denied")
	// ErrTimedOut: the target does not answer.
	ErrTimedOut = errors.New("timed out")
	// ErrUnreachable: there is no route to the target.
	ErrUnreachable = errors.New("unreachable")
	// ErrUnsupported: the far side does not serve that kind of flow.
	ErrUnsupported = errors.New("unsupported kind of flow")
)

// maxReason bounds the text of a DeniedError on its way, in bytes.
const maxReason = 512

// DeniedError is ErrDenied in the far side's own words, for people.
type DeniedError struct{ Reason string }

// Error is the reason.
func (e *DeniedError) Error() string {
	if e.Reason == "" {
		return ErrDenied.Error()
	}
	return e.Reason
}

// Unwrap makes it an ErrDenied.
func (e *DeniedError) Unwrap() error { return ErrDenied }

// Answered says whether err is the far side's answer to an Open. Otherwise nothing
// has reached the far side.
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

// Err is the error that a verdict stands for, nil for Accepted. The reason is
// that of Denied.
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

// clean makes one printable line of at most maxReason bytes of a peer's text.
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
