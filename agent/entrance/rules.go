// Package entrance makes callers of the pod's ports reach the agent: by nftables
// rules of the agent's own; by those of an init container, which the agent switches
// on and off; or by the name of a port.
package entrance

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/app"
	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/agent/ports"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/agent/udp"
)

const (
	// forgetAgain is when conntrack is told a second time to forget a UDP port.
	forgetAgain = 2 * time.Second
	// settle is how long a listener outlives its redirect.
	settle = time.Second
)

// Rules brings callers here by nftables rules of the agent's own. It needs
// NET_ADMIN.
type Rules struct {
	ctx    context.Context
	pod    []netip.Addr
	table  *capture.Table
	opener forward.Opener
	log    *slog.Logger
	open   map[portKey]context.CancelFunc // called when the port is closed
}

var _ ports.Entrance = (*Rules)(nil)

// NewRules returns an entrance that is closed. Pod are the pod's addresses.
func NewRules(ctx context.Context, pod []netip.Addr, table *capture.Table, opener forward.Opener, log *slog.Logger) *Rules {
	return &Rules{ctx: ctx, pod: pod, table: table, opener: opener, log: log, open: map[portKey]context.CancelFunc{}}
}

// Listen implements ports.Entrance. The listener lives until the port is given
// back.
func (r *Rules) Listen(number uint16, protocol capture.Protocol) (ports.Listener, error) {
	to := forward.NewPort(r.ctx, number, r.opener, app.DialTCP, r.log)
	if protocol == capture.UDP {
		return listener(udp.Listen(r.ctx, udp.Config{Pod: r.pod, Dial: app.DialUDP}, to, r.log))
	}
	return listener(tcp.Listen(r.ctx, tcp.Config{Dialed: capture.Dialed(number), Settle: settle}, to, r.log))
}

// listener keeps a failed constructor's nil from becoming a non-nil interface.
func listener[T ports.Listener](l T, err error) (ports.Listener, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Open implements ports.Entrance.
func (r *Rules) Open(wanted []capture.Port) error {
	if err := r.table.Set(wanted); err != nil {
		return err
	}
	keep := map[portKey]bool{}
	for _, p := range wanted {
		keep[key(p)] = true
		if r.open[key(p)] == nil {
			r.opened(p)
		}
	}
	for k, cancel := range r.open {
		if !keep[k] {
			cancel()
			delete(r.open, k)
			r.forget(capture.Port{Number: k.number, Protocol: k.protocol})
		}
	}
	return nil
}

// portKey tells the ports of Rules.open apart.
type portKey struct {
	number, agent uint16
	protocol      capture.Protocol
}

func key(p capture.Port) portKey { return portKey{p.Number, p.Agent, p.Protocol} }

// opened makes callers come here whose connections conntrack knows from before.
func (r *Rules) opened(p capture.Port) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.open[key(p)] = cancel
	if p.Protocol == capture.UDP || !p.KeepEstablished {
		r.forget(p)
	}
	if p.Protocol == capture.UDP {
		// If the application was about to answer, conntrack has seen its answer
		// first and takes the caller for the side that answers. That is to be
		// forgotten, too.
		time.AfterFunc(forgetAgain, func() {
			if ctx.Err() == nil {
				r.forget(p)
			}
		})
	}
}

func (r *Rules) forget(p capture.Port) {
	if err := r.table.Forget(p); err != nil {
		r.log.Warn("connections from before may still go where they went", "port", p.String(), "error", err)
	}
}

// Check implements ports.Entrance.
func (r *Rules) Check(p capture.Port) func(context.Context, *capture.ProofBook) error {
	return func(ctx context.Context, book *capture.ProofBook) error {
		return capture.CheckRedirect(ctx, p, r.pod, book)
	}
}

// Idle implements ports.Entrance: it removes the rules.
func (r *Rules) Idle() {
	if err := r.table.Drop(); err != nil {
		r.log.Error("cannot remove the rules", "error", err)
	}
}

// Close implements ports.Entrance.
func (r *Rules) Close(context.Context) { r.table.Close() }
