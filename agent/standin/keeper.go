package standin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/control"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

const (
	// ready is how many lines wait for a flow that the session opens.
	ready = 2
	// dialTime bounds the making of a line. Much of it is waiting for the laptop.
	dialTime = 5 * time.Second
	// After a failed dial, a keeper pauses. The pause doubles with each failure.
	pauseMin, pauseMax = 500 * time.Millisecond, 15 * time.Second
)

// keeper holds lines ready to one session through one relay.
type keeper struct {
	upstream
	dial    dial
	handler tunnel.Handler
	log     *slog.Logger
}

// run holds lines until ctx ends. A line that has had a flow is the session's: it keeps the
// line for further flows, or closes it. The keeper makes another one in its place.
func (k *keeper) run(ctx context.Context) {
	var lines sync.WaitGroup
	defer lines.Wait()
	waiting := make(chan struct{}, ready)
	pause := time.Duration(0)
	for {
		select {
		case waiting <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c, err := k.connect(ctx)
		if err != nil {
			<-waiting
			pause = min(max(2*pause, pauseMin), pauseMax)
			k.failed(err)
			if !control.Pause(ctx, pause) {
				return
			}
			continue
		}
		pause = 0
		lines.Go(func() {
			var once sync.Once
			used := func() { once.Do(func() { <-waiting }) }
			line.Serve(ctx, c, k.allowed, func(ctx context.Context, o *frame.Open, in tunnel.Incoming) error {
				used()
				return k.handler(ctx, o, in)
			})
			used()
		})
	}
}

func (k *keeper) connect(ctx context.Context) (*line.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return k.dial(ctx, k.upstream)
}

// failed logs why there is no line. That the session has no idle one is usual.
func (k *keeper) failed(err error) {
	var no *line.NoLineError
	level := slog.LevelInfo
	if errors.As(err, &no) && no.Verdict == frame.NoLine {
		level = slog.LevelDebug
	}
	k.log.Log(context.Background(), level, "no line from the session", "error", err)
}

// allowed says that a flow is of the keeper's intercept.
func (k *keeper) allowed(o *frame.Open) bool {
	return (&handshake.LineAssigned{Intercept: k.line.Intercept, InterceptUID: k.line.InterceptUID}).OfIntercept(o)
}
