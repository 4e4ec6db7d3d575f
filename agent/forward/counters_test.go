package forward

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// The reason is of the thing that failed.
func TestReasons(t *testing.T) {
	verdict := func(v frame.Verdict) error {
		return fmt.Errorf("open: %w", &relay.VerdictError{Relay: "10.0.0.1:17843", Verdict: v})
	}
	c := &counters{}
	for _, x := range []struct {
		err  error
		want rpc.Reason
	}{
		{verdict(frame.Refused), rpc.Reason_PROGRAM_REFUSED},
		{verdict(frame.TimedOut), rpc.Reason_PROGRAM_SILENT},
		{verdict(frame.NoSession), rpc.Reason_SESSION_AWAY},
		{verdict(frame.Denied), rpc.Reason_NOT_ALLOWED},
		{relay.ErrAway, rpc.Reason_SESSION_AWAY},
		{fmt.Errorf("relay: %w", context.DeadlineExceeded), rpc.Reason_SESSION_SILENT},
		{relay.ErrSilent, rpc.Reason_SESSION_SILENT},
		{fmt.Errorf("%w: reset", relay.ErrRefused), rpc.Reason_PROGRAM_REFUSED},
		{relay.ErrNoRelay, rpc.Reason_MANAGER_UNREACHABLE},
		{errors.New("dial relay: connection refused"), rpc.Reason_MANAGER_UNREACHABLE},
	} {
		if got := reasonOf(x.err); got != x.want {
			t.Errorf("%v: %v, want %v", x.err, got, x.want)
		}
		c.missed(x.err)
	}
	c.opaque.Add(3)
	var r rpc.RouteReport
	c.report(&r)
	if r.Opaque != 3 {
		t.Errorf("%d opaque connections", r.Opaque)
	}
	sum := uint64(0)
	for _, m := range r.Missed {
		sum += m.Connections
	}
	if n := r.Fallbacks; n != 10 || sum != n {
		t.Errorf("%d fallbacks, %d with a reason", n, sum)
	}
}
