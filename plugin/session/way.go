package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/warm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// outboundCarriers is how many take the flows that find no line.
const outboundCarriers = 2

var errNotConnected = errors.New("the session is not connected yet")

// way leads into the cluster. The proxy, the TUN and programs with a network of
// their own share it.
type way struct {
	pool   *carrier.Pool
	group  *mux.Group
	dialer *outbound.Dialer
	gate   outbound.Gate
	asking atomic.Bool // for a sign of life
	ctx    context.Context
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// openWay returns when the first outbound carrier is up, or with the reason why
// there is none. The way outlives ctx.
func (p *process) openWay(ctx context.Context) (*way, error) {
	p.mu.Lock()
	pool, hello, ladder, running, lines := p.pool, p.hello, p.dialers, p.running, p.lines
	p.mu.Unlock()
	if pool == nil {
		return nil, errNotConnected
	}
	hello.Direction = handshake.Outbound
	w := &way{group: mux.NewGroup(mux.NewBudget(windowBudget))}
	w.ctx, w.stop = context.WithCancel(running)
	up := make(chan struct{}, 1)
	serve := func(ctx context.Context, c net.Conn) error {
		return w.group.Add(ctx, c, func() {
			w.gate.Set(true)
			select {
			case up <- struct{}{}:
			default:
			}
		})
	}
	w.pool = carrier.NewPool(carrier.Config{Size: outboundCarriers, Dial: ladder.Dial, Hello: hello, Log: p.log, Serve: serve})
	w.done.Go(func() { w.pool.Run(w.ctx) })
	var err error
	select {
	case <-up:
	case <-ctx.Done():
		err = errors.Join(w.pool.State().Err, context.Cause(ctx))
	case <-w.ctx.Done():
		err = errEnding
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("open the way into the cluster: %w", err)
	}
	w.dialer = &outbound.Dialer{Session: hello.Session, Group: w.group, Gate: &w.gate, Denials: &p.denials}
	if lines != nil {
		w.dialer.Lines = warm.New(w.ctx, lines.DialOutbound)
	}
	return w, nil
}

func (w *way) close() {
	w.stop()
	w.done.Wait()
	if w.dialer != nil && w.dialer.Lines != nil {
		w.dialer.Lines.Close()
	}
}
