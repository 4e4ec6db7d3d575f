package relay

import (
	"context"
	"errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// reasons are why a connection does not reach the laptop's program; the array
// says how many there are.
var reasons = [...]rpc.Reason{rpc.Reason_UNKNOWN, rpc.Reason_PROGRAM_REFUSED, rpc.Reason_PROGRAM_SILENT, rpc.Reason_SESSION_AWAY,
	rpc.Reason_SESSION_SILENT, rpc.Reason_MANAGER_UNREACHABLE, rpc.Reason_NOT_ALLOWED}

var (
	// ErrAway: the session has no connection to any replica of the
	// traffic-manager.
	ErrAway = errors.New("the laptop is away")
	// ErrSilent: a moment ago the session did not answer.
	ErrSilent = errors.New("the laptop does not answer")
	// ErrRefused: the program's port is closed.
	ErrRefused = errors.New("nothing listens on the laptop")
)

// Missed counts a connection that the laptop was meant to answer and did not,
// and why.
func (c *Counters) Missed(why error) {
	c.Fallbacks.Add(1)
	c.missed[reasonOf(why)].Add(1)
}

// Reasons says why the Fallbacks were.
func (c *Counters) Reasons() []*rpc.Missed {
	var list []*rpc.Missed
	for _, r := range reasons {
		if n := c.missed[r].Load(); n > 0 {
			list = append(list, &rpc.Missed{Reason: r, Connections: n})
		}
	}
	return list
}

// reasonOf is what failed, by the error of Opener.Open.
func reasonOf(err error) rpc.Reason {
	var v *VerdictError
	switch {
	case errors.As(err, &v):
		switch v.Verdict {
		case frame.Refused:
			return rpc.Reason_PROGRAM_REFUSED
		case frame.TimedOut, frame.Unreachable:
			return rpc.Reason_PROGRAM_SILENT
		case frame.Denied:
			return rpc.Reason_NOT_ALLOWED
		}
		return rpc.Reason_SESSION_AWAY
	case errors.Is(err, ErrRefused):
		return rpc.Reason_PROGRAM_REFUSED
	case errors.Is(err, ErrAway):
		return rpc.Reason_SESSION_AWAY
	case errors.Is(err, ErrSilent), errors.Is(err, context.DeadlineExceeded):
		return rpc.Reason_SESSION_SILENT
	}
	return rpc.Reason_MANAGER_UNREACHABLE
}
