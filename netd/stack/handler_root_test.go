//go:build rootful && linux

package stack_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
)

// handler is a Handler of functions; what has none is refused or not
// answered.
type handler struct {
	tcp  func(*stack.TCPRequest)
	udp  func(*stack.UDPFlow)
	ping func(*stack.Echo)
}

func (h handler) TCP(_ context.Context, r *stack.TCPRequest) {
	if h.tcp != nil {
		h.tcp(r)
	}
}

func (h handler) UDP(_ context.Context, f *stack.UDPFlow) {
	if h.udp == nil {
		f.Refuse()
		return
	}
	h.udp(f)
}

func (h handler) Ping(_ context.Context, e *stack.Echo) {
	if h.ping != nil {
		h.ping(e)
	}
}

// accepted makes a TCP handler that gives connections to f.
func accepted(f func(*stack.Conn)) func(*stack.TCPRequest) {
	return func(r *stack.TCPRequest) {
		if c, err := r.Accept(); err == nil {
			f(c)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
