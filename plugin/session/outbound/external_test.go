package outbound

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
)

// This machine dials only what the user may not dial through the cluster. What neither
// reaches is remembered.
func TestOpenExternal(t *testing.T) {
	w := outboundtest.New(t, outboundtest.Hello)
	group := w.Group(t)
	failed := errors.New("no route")
	// By a pod, others see the pod or nothing.
	from := &Dialer{Denials: new(Denials), Pod: denied{}}
	direct := func(context.Context, string, string) (net.Conn, error) {
		t.Error("this machine dials")
		return nil, failed
	}
	if _, err := from.OpenExternal(t.Context(), frame.TCP, "10.0.0.1:80", direct); !errors.Is(err, frame.ErrDenied) || len(from.Denials.List()) != 1 {
		t.Errorf("by a pod: %v, remembered %v", err, from.Denials.List())
	}
	for _, c := range []struct {
		name, target string
		direct       error // of this machine
		dialed       bool
		want         error
		denials      int
	}{
		{"allowed", w.Address.String() + ":80", failed, false, nil, 0},
		{"denied, and reached from here", "10.0.0.1:80", nil, true, nil, 0},
		{"denied, and not reached from here", "10.0.0.1:80", failed, true, frame.ErrDenied, 1},
	} {
		d := &Dialer{Session: "s", Group: group, Denials: new(Denials)}
		dialed := false
		conn, err := d.OpenExternal(t.Context(), frame.TCP, c.target, func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialed = true
			if c.direct != nil {
				return nil, c.direct
			}
			var real net.Dialer
			return real.DialContext(ctx, network, w.Local.String())
		})
		if conn != nil {
			conn.Abort()
		}
		list := d.Denials.List()
		if !errors.Is(err, c.want) || dialed != c.dialed || len(list) != c.denials {
			t.Errorf("%s: %v, dialed %v, remembered %v", c.name, err, dialed, list)
		}
		if c.denials > 0 && !(errors.Is(err, failed) && strings.Contains(list[0].Reason, "nor does this machine reach it itself: no route")) {
			t.Errorf("%s: remembered %v", c.name, list)
		}
	}
}

// denied is the network of a pod that lets nobody out.
type denied struct{}

func (denied) Open(context.Context, frame.Protocol, string, []byte) (tunnel.Stream, error) {
	return nil, frame.ErrDenied
}
