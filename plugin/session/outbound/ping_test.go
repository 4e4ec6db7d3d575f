package outbound

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
)

func TestPing(t *testing.T) {
	w := outboundtest.New(t, outboundtest.Hello)
	p := &Pinger{Dialer: &Dialer{Session: "s", Group: w.Group(t)}}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	from := netip.MustParseAddr("198.18.0.1")
	for id := range uint16(2) {
		for seq := range uint16(3) {
			b, err := p.Ping(ctx, from, w.Address, id, seq, []byte{byte(id), byte(seq)})
			if err != nil || len(b) != 2 || b[0] != byte(id) || b[1] != byte(seq) {
				t.Fatalf("%d/%d: % x, %v", id, seq, b, err)
			}
		}
	}
	if w.Pings.Load() != 2 {
		t.Errorf("%d flows of two programs", w.Pings.Load())
	}
	if _, err := p.Ping(ctx, from, netip.MustParseAddr("10.0.0.1"), 1, 1, nil); !errors.Is(err, frame.ErrDenied) {
		t.Errorf("a host out of reach: %v", err)
	}
	none, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := p.Ping(none, from, w.Address, 1, 7, []byte("lost")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lost echo: %v", err)
	}
	if _, err := p.Ping(ctx, from, w.Address, 1, 8, []byte("end")); err == nil {
		t.Error("the far side has ended the flow, and there is a reply")
	}
	if b, err := p.Ping(ctx, from, w.Address, 3, 9, []byte("again")); err != nil || string(b) != "again" {
		t.Errorf("after the end: %q, %v", b, err)
	}
}
