package outbound

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Where the user may not go through the cluster this machine dials, and what
// neither reaches is remembered; where he may, it does not.
func TestOpenOutside(t *testing.T) {
	w := newWorld(t, hello)
	failed := errors.New("no route")
	for _, c := range []struct {
		name, target string
		direct       error // of this machine
		dialled      bool
		want         error
		denials      int
	}{
		{"allowed", w.fake.String() + ":80", failed, false, nil, 0},
		{"denied, and reached from here", "10.0.0.1:80", nil, true, nil, 0},
		{"denied, and not reached from here", "10.0.0.1:80", failed, true, frame.ErrDenied, 1},
	} {
		d := &Dialer{Session: "s", Group: w.dialer.Group, Denials: new(Denials)}
		dialled := false
		conn, err := d.OpenOutside(t.Context(), frame.TCP, c.target, func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = true
			if c.direct != nil {
				return nil, c.direct
			}
			var real net.Dialer
			return real.DialContext(ctx, network, w.service.String())
		})
		if conn != nil {
			conn.Abort()
		}
		list := d.Denials.List()
		if !errors.Is(err, c.want) || dialled != c.dialled || len(list) != c.denials {
			t.Errorf("%s: %v, dialled %v, remembered %v", c.name, err, dialled, list)
		}
		if c.denials > 0 && !(errors.Is(err, failed) && strings.Contains(list[0].Reason, "nor does this machine reach it itself: no route")) {
			t.Errorf("%s: remembered %v", c.name, list)
		}
	}
}
