package tunneltest

import (
	"errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Refusals returns, by name, the errors with which the far end refuses a flow.
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

// Same says whether err is of the same kind as want and has the same text.
func Same(err, want error) bool {
	kind := want
	if errors.Is(want, frame.ErrDenied) {
		kind = frame.ErrDenied
	}
	return errors.Is(err, kind) && err.Error() == want.Error()
}
