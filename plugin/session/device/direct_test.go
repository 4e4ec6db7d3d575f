//go:build linux

package device

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// A program whose whole network is the TUN means the laptop's own networks by
// their addresses, and the cluster's part of them by virtual ones.
func TestClashesAreTheLaptops(t *testing.T) {
	l := newLab(t)
	l.netd.Refusal = func(_ string, c *handover.Config) error {
		for _, r := range c.Routes {
			if vpn := netip.MustParsePrefix("10.244.8.0/24"); r.Overlaps(vpn) {
				return handover.Refuse([]handover.Conflict{{Reason: handover.ReasonOverlap, Route: r, With: vpn, Device: "wg0"}})
			}
		}
		return nil
	}
	dialed := make(chan string, 1)
	d, err := Open(t.Context(), Config{Socket: l.socket, Want: want(), DNS: l.names, Log: slog.New(slog.DiscardHandler),
		Dialer: &outbound.Dialer{Gate: &l.gate, Group: mux.NewGroup(mux.NewBudget(1 << 20))},
		Direct: func(_ context.Context, network, addr string) (net.Conn, error) {
			dialed <- network + " " + addr
			return nil, errors.New("refused")
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	pod := netip.MustParseAddr("10.244.8.9")
	for _, c := range []struct {
		to     netip.Addr
		direct string
	}{
		{netip.MustParseAddr("10.244.9.9"), ""},
		{pod, "tcp 10.244.8.9:80"},
		{d.translate(pod), ""},
	} {
		if h := l.exchange(t, syn(netip.AddrPortFrom(c.to, 80))); h[13]&rst == 0 {
			t.Errorf("%s: a SYN is answered with flags %#x, want a reset", c.to, h[13])
		}
		direct := ""
		select {
		case direct = <-dialed:
		default:
		}
		if direct != c.direct {
			t.Errorf("%s: dialed %q, want %q", c.to, direct, c.direct)
		}
	}
}
