package relay

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// The reason is of the thing that failed.
func TestReasons(t *testing.T) {
	verdict := func(v frame.Verdict) error { return fmt.Errorf("open: %w", &VerdictError{"10.0.0.1:17843", v}) }
	c := &Counters{}
	for _, x := range []struct {
		err  error
		want rpc.Reason
	}{
		{verdict(frame.Refused), rpc.Reason_PROGRAM_REFUSED},
		{verdict(frame.TimedOut), rpc.Reason_PROGRAM_SILENT},
		{verdict(frame.NoSession), rpc.Reason_SESSION_AWAY},
		{verdict(frame.Denied), rpc.Reason_NOT_ALLOWED},
		{ErrAway, rpc.Reason_SESSION_AWAY},
		{fmt.Errorf("relay: %w", context.DeadlineExceeded), rpc.Reason_SESSION_SILENT},
		{ErrSilent, rpc.Reason_SESSION_SILENT},
		{fmt.Errorf("%w: reset", ErrRefused), rpc.Reason_PROGRAM_REFUSED},
		{ErrNoRelay, rpc.Reason_MANAGER_UNREACHABLE},
		{errors.New("dial relay: connection refused"), rpc.Reason_MANAGER_UNREACHABLE},
	} {
		if got := reasonOf(x.err); got != x.want {
			t.Errorf("%v: %v, want %v", x.err, got, x.want)
		}
		c.Missed(x.err)
	}
	sum := uint64(0)
	for _, m := range c.Reasons() {
		sum += m.Connections
	}
	if n := c.Fallbacks.Load(); n != 10 || sum != n {
		t.Errorf("%d fallbacks, %d with a reason", n, sum)
	}
}
