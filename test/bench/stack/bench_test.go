//go:build linux

package stack

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
)

// netd imports nothing of the product, so that its connections fit the tunnel
// is seen here.
var _ tunnel.Stream = (*stack.Conn)(nil)

func TestRatio(t *testing.T) {
	if r := (Figure{Loopback: 30, Stack: 12}).Ratio(); r != 0.4 {
		t.Errorf("ratio %v", r)
	}
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Errorf("median %v", m)
	}
}
