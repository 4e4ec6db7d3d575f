package tunnel

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Handler takes the flows that the peer opens. It calls in.Accept once it has
// reached the target, then in.Join; or returns frame.ErrRefused, frame.ErrDenied (a
// frame.DeniedError to say why), frame.ErrTimedOut, frame.ErrUnreachable or another error.
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

// Count hears of bytes as they pass: in is what came from the carrier, out
// what went to it. It may be called from two goroutines at once.
type Count func(in, out int)
