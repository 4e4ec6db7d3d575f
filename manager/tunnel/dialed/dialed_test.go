package dialed

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// TestRefusal: what a program hears depends on what happened to the dial.
func TestRefusal(t *testing.T) {
	full := errors.New("too many open files")
	for _, c := range []struct {
		err, want error
	}{
		{syscall.ECONNREFUSED, frame.ErrRefused},
		{syscall.ECONNRESET, frame.ErrRefused},
		{syscall.ETIMEDOUT, frame.ErrTimedOut},
		{os.ErrDeadlineExceeded, frame.ErrTimedOut},
		{syscall.EHOSTUNREACH, frame.ErrUnreachable},
		{syscall.ENETUNREACH, frame.ErrUnreachable},
		{syscall.EPERM, frame.ErrUnreachable},
		{full, full},
	} {
		err := &net.OpError{Op: "dial", Err: fmt.Errorf("connect: %w", c.err)}
		if got := refusal(err); !errors.Is(got, c.want) || frame.Answered(got) != (c.want != full) {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
