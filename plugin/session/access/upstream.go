package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

const (
	// outboundCarriers is how many carriers take the flows that find no line.
	outboundCarriers = 2
	// askTimeout is how long a sign of life is waited for.
	askTimeout = 5 * time.Second
)

// Upstream says how an Access reaches the traffic-manager.
type Upstream struct {
	// Dial makes a carrier: see carrier.Config.
	Dial func(context.Context) (net.Conn, string, error)
	// Outdated may be nil: see carrier.Config.
	Outdated func(transport string) bool
	// Hello is that of carriers, but for its direction.
	Hello handshake.Hello
	// Lines may be nil.
	Lines *carrier.Lines
	// Budget is by how much the windows of all flows may grow, in bytes.
	Budget int
}

// upstream carries flows from the laptop to the traffic-manager. All proxies and TUNs
// share it.
type upstream struct {
	pool   *carrier.Pool
	group  *mux.Group
	dialer *outbound.Dialer
	gate   outbound.Gate
	asking atomic.Bool // for a sign of life
	ctx    context.Context
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// open returns when the first carrier is up, or with the reason why there is none. The
// upstream outlives ctx; it ends with running.
func (c *Upstream) open(ctx, running context.Context, denials *outbound.Denials, log *slog.Logger) (*upstream, error) {
	hello := c.Hello
	hello.Direction = handshake.Outbound
	u := &upstream{group: mux.NewGroup(mux.NewBudget(c.Budget))}
	u.ctx, u.stop = context.WithCancel(running)
	up := make(chan struct{}, 1)
	serve := func(ctx context.Context, conn net.Conn) error {
		return u.group.Add(ctx, conn, func() {
			u.gate.Set(true)
			select {
			case up <- struct{}{}:
			default:
			}
		})
	}
	u.pool = carrier.NewPool(carrier.Config{Size: outboundCarriers, Dial: c.Dial, Hello: hello, Log: log, Serve: serve, Outdated: c.Outdated})
	u.done.Go(func() { u.pool.Run(u.ctx) })
	var err error
	select {
	case <-up:
	case <-ctx.Done():
		err = errors.Join(u.pool.State().Err, context.Cause(ctx))
	case <-u.ctx.Done():
		err = socket.ErrEnding
	}
	if err != nil {
		u.close()
		return nil, fmt.Errorf("open the way into the cluster: %w", err)
	}
	u.dialer = &outbound.Dialer{Session: hello.Session, Group: u.group, Gate: &u.gate, Denials: denials}
	if c.Lines != nil {
		u.dialer.Lines = warm.New(u.ctx, c.Lines.DialOutbound)
	}
	return u, nil
}

// from is what dials for access by the pod of an intercept, or by the traffic-manager if via
// is empty.
func (u *upstream) from(via string, pods func(string) PodNetwork) *outbound.Dialer {
	if via == "" {
		return u.dialer
	}
	return &outbound.Dialer{Session: u.dialer.Session, Gate: u.dialer.Gate, Denials: u.dialer.Denials, Pod: pods(via)}
}

func (u *upstream) close() {
	u.stop()
	u.done.Wait()
	if u.dialer != nil && u.dialer.Lines != nil {
		u.dialer.Lines.Close()
	}
}

// ask asks the traffic-manager for a sign of life, unless that is being done. The pool
// hears the answer.
func (u *upstream) ask() {
	if u.asking.CompareAndSwap(false, true) {
		defer u.asking.Store(false)
		u.group.Ping(askTimeout)
	}
}
