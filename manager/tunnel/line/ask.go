package line

import (
	"context"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Ask opens a flow and waits for the verdict, and the reason if there is one, until
// ctx ends. After an error the stream is unusable.
func Ask(ctx context.Context, s tunnel.Stream, o *frame.Open) (v frame.Verdict, reason string, err error) {
	stop := context.AfterFunc(ctx, func() {
		s.SetReadDeadline(time.Unix(1, 0))
		s.SetWriteDeadline(time.Unix(1, 0))
	})
	defer stop()
	if err = frame.WriteOpen(s, o); err == nil {
		v, reason, err = frame.ReadAnswer(s)
	}
	if !stop() {
		err = context.Cause(ctx) // AfterFunc has set the stream's deadlines
	}
	if err != nil {
		return 0, "", fmt.Errorf("await verdict: %w", err)
	}
	return v, reason, nil
}
