package forward

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// A caller of HTTP that is silent holds no buffer: read returns at once.
func TestSilentCallerHoldsNothing(t *testing.T) {
	p := NewPort(t.Context(), 80, nil, nil, slog.New(slog.DiscardHandler))
	p.Set(&rpc.CapturePort{Speaks: rpc.Speaks_SPEAKS_HTTP, Routes: []*rpc.Route{{InterceptUid: "i", Match: &rpc.Match{}}}})
	_, far := tunneltest.Pair(t)
	silent := make(chan bool, 1)
	go func(c *net.TCPConn) {
		_, yes, _ := p.newSplitFlow(c, netip.AddrPort{}, netip.AddrPort{}).read()
		silent <- yes
	}(far)
	select {
	case yes := <-silent:
		if !yes {
			t.Error("not silent")
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits with a buffer")
	}
}
