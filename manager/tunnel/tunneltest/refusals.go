package tunneltest

import (
	"errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Refusals are what a far side answers, by name.
func Refusals() map[string]error {
	return map[string]error{
		"refused": frame.ErrRefused,
		"denied":  frame.ErrDenied,
		"denied, with a reason": &frame.DeniedError{
			Reason: `user "alice" may not dial 10.96.2.1: that needs "create pods/portforward" in namespace "bank"`},
		"timed out":   frame.ErrTimedOut,
		"unreachable": frame.ErrUnreachable,
		"unsupported": frame.ErrUnsupported,
	}
}

// Same says that an error is want, in the same words.
func Same(err, want error) bool {
	kind := want
	if errors.Is(want, frame.ErrDenied) {
		kind = frame.ErrDenied
	}
	return errors.Is(err, kind) && err.Error() == want.Error()
}
