package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// directIdle ends a flow of datagrams that this machine has dialed.
const directIdle = time.Minute

// Direct dials from this machine, as a program without a session does.
type Direct func(ctx context.Context, network, addr string) (net.Conn, error)

// OpenExternal dials an address that is neither a Service's nor a pod's, but for
// which a name of the cluster stands: something outside behind a headless Service,
// a pod on its node's network, or the target of an ExternalName. A pod reaches it,
// so the cluster is asked first; where the user may not dial it through the
// cluster, this machine dials it. Denials remembers what was reached neither way.
func (d *Dialer) OpenExternal(ctx context.Context, p frame.Protocol, target string, direct Direct) (Conn, error) {
	c, err := d.open(ctx, p, target, nil)
	switch {
	case errors.Is(err, frame.ErrDenied) && d.Pod == nil: // others shall see the pod, or nothing
		near, nerr := direct.Open(ctx, p, target)
		if nerr == nil {
			return near, nil
		}
		err = fmt.Errorf("%w; nor does this machine reach it itself: %w", err, nerr)
	case errors.Is(err, frame.ErrDenied):
	case errors.Is(err, frame.ErrTimedOut), errors.Is(err, frame.ErrUnreachable):
		err = fmt.Errorf("from within the cluster: %w", err)
	default:
		return c, err
	}
	d.Denials.Note(target, err, time.Now())
	return nil, err
}

// Open returns a connection from this machine as a Conn.
func (dial Direct) Open(ctx context.Context, p frame.Protocol, addr string) (Conn, error) {
	network := "tcp"
	if p == frame.UDP {
		network = "udp"
	}
	c, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	var s tunnel.Stream
	if p == frame.UDP {
		s = untilClose{datagram.New(c, directIdle)}
	} else if t, ok := c.(*net.TCPConn); ok {
		s = tunnel.NewTCP(t)
	} else {
		c.Close()
		return nil, fmt.Errorf("dial %s: not a TCP connection", addr)
	}
	return &lineConn{s: s, lines: new(atomic.Int64)}, nil
}

// untilClose is a flow of datagrams that ends with the program's side, as nobody
// would get the answers.
type untilClose struct{ tunnel.Stream }

// CloseWrite ends both directions.
func (u untilClose) CloseWrite() error { return u.Close() }
