package tunnel

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Handler takes the flows that the peer opens. It calls in.Accept once it has
// reached the target, and then in.Join. If it does not take a flow, it returns
// frame.ErrRefused, frame.ErrDenied (or a frame.DeniedError, which says why),
// frame.ErrTimedOut, frame.ErrUnreachable, frame.ErrUnsupported or another error.
// Open.First is valid until it returns.
type Handler func(ctx context.Context, o *frame.Open, in Incoming) error

// Incoming is a flow as its acceptor sees it.
type Incoming interface {
	// Accept tells the opener that the target is reached.
	Accept() error
	// Join moves bytes between the flow and s until both directions have
	// ended, and closes s.
	Join(s Stream, count Count) error
}

// Count is told how many bytes have passed: in came from the peer that opened the
// flow, out went to it. It may be called from two goroutines at once.
type Count func(in, out int)
