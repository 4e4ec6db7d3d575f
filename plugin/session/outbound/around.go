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

// Direct dials from this machine, as a program without a session.
type Direct func(ctx context.Context, network, addr string) (net.Conn, error)

// OpenOutside dials an address that is neither a Service's nor a pod's, but that
// a name of the cluster's stands for: something outside behind a headless
// Service, a pod on its node's network, or what an ExternalName leads to. A pod
// would reach it, so the cluster is asked first; where the user may not go that
// way this machine dials it. Denials remembers what was reached neither way.
func (d *Dialer) OpenOutside(ctx context.Context, p frame.Protocol, target string, direct Direct) (Conn, error) {
	c, err := d.open(ctx, p, target, nil)
	switch {
	case errors.Is(err, frame.ErrDenied):
		near, nerr := direct.open(ctx, p, target)
		if nerr == nil {
			return near, nil
		}
		err = fmt.Errorf("%w; nor does this machine reach it itself: %w", err, nerr)
	case errors.Is(err, frame.ErrTimedOut), errors.Is(err, frame.ErrUnreachable):
		err = fmt.Errorf("from within the cluster: %w", err)
	default:
		return c, err
	}
	d.Denials.Note(target, err, time.Now())
	return nil, err
}

// open is a connection from this machine, as if it was a flow.
func (dial Direct) open(ctx context.Context, p frame.Protocol, addr string) (Conn, error) {
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
		s = datagrams{datagram.New(c, directIdle)}
	} else if t, ok := c.(*net.TCPConn); ok {
		s = tunnel.NewTCP(t)
	} else {
		c.Close()
		return nil, fmt.Errorf("dial %s: not a TCP connection", addr)
	}
	return &lineConn{s: s, lines: new(atomic.Int64)}, nil
}
