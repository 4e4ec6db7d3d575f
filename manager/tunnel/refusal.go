package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a far side answers that does not take a flow.
var (
	// ErrRefused: nothing listens there.
	ErrRefused = errors.New("refused")
	// ErrDenied: the far side does not allow the flow.
	ErrDenied = errors.New("denied")
	// ErrTimedOut: the target does not answer.
	ErrTimedOut = errors.New("timed out")
	// ErrUnreachable: there is no way to the target.
	ErrUnreachable = errors.New("unreachable")
)

// MaxReason bounds the text of a DeniedError on its way, in bytes.
const MaxReason = 512

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

// Answered says that err is the far side's answer to an Open, and not why it
// could not be asked.
func Answered(err error) bool {
	return verdictOf(err) != NoSession
}

// verdictOf is how a Handler's error travels on a line.
func verdictOf(err error) Verdict {
	switch {
	case errors.Is(err, ErrRefused):
		return Refused
	case errors.Is(err, ErrDenied):
		return Denied
	case errors.Is(err, ErrTimedOut):
		return TimedOut
	case errors.Is(err, ErrUnreachable):
		return Unreachable
	}
	return NoSession
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
	}
	return fmt.Errorf("traffic-manager: %s", v)
}

func denied(reason string) error {
	if reason = clean(reason); reason == "" || reason == ErrDenied.Error() {
		return ErrDenied
	}
	return &DeniedError{reason}
}

// reasonOf is the text that travels with ErrDenied: that of a DeniedError, and
// no other.
func reasonOf(err error) string {
	var d *DeniedError
	if errors.As(err, &d) {
		return clean(d.Reason)
	}
	return ""
}

// clean makes one printable line of at most MaxReason bytes of a peer's text.
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
	if len(s) > MaxReason {
		n := MaxReason
		for !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.TrimSpace(s)
}

// appendReason appends a reason as it follows Denied on a line: u16 length
// and text.
func appendReason(b []byte, reason string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(reason)))
	return append(b, reason...)
}

func readReason(r io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint16(head[:])
	if n > MaxReason {
		return "", fmt.Errorf("reason of %d bytes exceeds %d", n, MaxReason)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", fmt.Errorf("reason: %w", err)
	}
	return clean(string(b)), nil
}

// toStatus is how a Handler's error travels on a carrier.
func toStatus(err error) error {
	switch v := verdictOf(err); v {
	case Denied:
		reason := reasonOf(err)
		if reason == "" {
			reason = ErrDenied.Error()
		}
		return status.Error(codes.PermissionDenied, reason)
	case Refused, TimedOut, Unreachable:
		return status.Error(codes.Unavailable, v.Err("").Error())
	}
	return status.Error(codes.Aborted, err.Error())
}

// fromStatus is the error that toStatus was given. gRPC itself says
// Unavailable of a broken carrier, in other words.
func fromStatus(err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.PermissionDenied:
		return denied(s.Message())
	case codes.Unavailable:
		for _, known := range []error{ErrRefused, ErrTimedOut, ErrUnreachable} {
			if s.Message() == known.Error() {
				return known
			}
		}
	}
	return err
}
