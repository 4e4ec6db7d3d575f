package session

import (
	"context"
	"errors"
	"maps"
	"net"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
)

// times are how long the process waits for work. Tests make them short.
type times struct {
	// idle is how long no Intercept may refer to the session.
	idle time.Duration
	// hold is how long a command that was here may take to make one.
	hold time.Duration
	// look is how often that is looked at.
	look time.Duration
	// gone is how long a process goes on of which the cluster does not want to know
	// anything, or no longer exists. A successor takes over what it served.
	gone time.Duration
	// renew is how often what lies behind a TUN is compared with the cluster, and
	// reopen the pause before one that went away is asked for again.
	renew, reopen time.Duration
}

func defaultTimes() times {
	return times{idle: 30 * time.Second, hold: 90 * time.Second, look: time.Second, gone: 30 * time.Minute, renew: 5 * time.Second, reopen: 2 * time.Second}
}

func serveCarrier(b *mux.Budget, h tunnel.Handler) func(context.Context, net.Conn) error {
	return func(ctx context.Context, c net.Conn) error { return mux.Serve(ctx, c, b, h) }
}

// finish begins the end; the first reason counts.
func (p *process) finish(reason endReason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endFor(reason)
}

// endFor begins the end, unless it has begun; p.mu is held.
func (p *process) endFor(reason endReason) {
	if p.reason != "" {
		return
	}
	p.reason = reason
	close(p.end)
}

// finishIdle is finish for want of work, unless a command has just come.
func (p *process) finishIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !time.Now().Before(p.until) {
		p.endFor(endIdle)
	}
}

// hold keeps the process for a while. It is false when the end has begun.
func (p *process) hold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != "" {
		return false
	}
	p.until = time.Now().Add(p.times.hold)
	return true
}

// connected notes the transport that works.
func (p *process) connected(transport string) {
	p.source.Accepted()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.once {
		go trim()
	}
	p.once, p.phase = true, ""
	if p.lines != nil {
		p.lines.Retry()
	}
	if p.transport != carrier.Auto || p.state.Transport == transport && time.Since(p.state.TransportTime) < carrier.ForgetAfter {
		return
	}
	p.state.Transport, p.state.TransportTime = transport, time.Now()
	p.save()
}

// failed ends a process that has never been connected and will not be.
func (p *process) failed(err error) {
	var refused *carrier.RefusedError
	p.mu.Lock()
	hopeless := !p.once && (carrier.Hopeless(err) || errors.As(err, &refused) && time.Since(p.started) > refusedTimeout)
	if hopeless && p.fatal == nil {
		p.fatal = p.explain(err)
	}
	p.mu.Unlock()
	if hopeless {
		p.finish(endFailed)
	}
}

// save writes the state; p.mu is held.
func (p *process) save() {
	if err := p.dir.Save(p.state); err != nil {
		p.log.Warn("state is not saved", "error", err)
	}
}

// saveIntercepts notes what a successor will have to serve.
func (p *process) saveIntercepts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != "" {
		return // they stay on record
	}
	p.state.Intercepts, p.state.Inside = p.table.Keys(), p.table.Inside()
	p.save()
}

// resume serves what an earlier process served.
func (p *process) resume(ctx context.Context) {
	p.mu.Lock()
	keys := append(p.state.Intercepts[:0:0], p.state.Intercepts...)
	sockets := maps.Clone(p.state.Inside)
	p.mu.Unlock()
	for _, key := range keys {
		if _, err := p.table.Track(ctx, key, sockets[key.String()]); err != nil {
			p.log.Info("intercept is not resumed", "intercept", key.String(), "error", err)
		}
	}
}

// watchIdle ends the process when nothing needs it.
func (p *process) watchIdle(ctx context.Context) {
	ticker := time.NewTicker(p.times.look)
	defer ticker.Stop()
	last := time.Now() // when there was an intercept
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		p.releaseDead(ctx)
		if p.abandoned(ctx) {
			p.finish(endGone)
			return
		}
		if len(p.table.Keys()) > 0 || p.network.online() {
			last = time.Now()
			continue
		}
		if time.Since(last) < p.times.idle || p.held() {
			continue
		}
		// Commands of other machines, or kubectl, may have made one.
		sctx, cancel := context.WithTimeout(ctx, startTimeout)
		err := p.table.Sweep(sctx, p.id.Namespace)
		cancel()
		switch {
		case err != nil:
			last = time.Now() // the API server is away: ask again later
		case len(p.table.Keys()) == 0:
			p.finishIdle()
		}
	}
}

// releaseDead ends what commands wanted that were killed.
func (p *process) releaseDead(ctx context.Context) {
	p.mu.Lock()
	commands := p.state.Commands()
	p.mu.Unlock()
	for _, by := range commands {
		if p.dir.Lives(by) {
			continue
		}
		p.log.Info("a command for which there was access was killed", "command", by)
		if err := p.release(ctx, by); err != nil {
			p.log.Warn("access is not released", "command", by, "error", err)
		}
	}
}

// abandoned says that the cluster has not answered for too long. A process that has
// carriers, or anything to ask for, hears of it all the time; another asks. What
// passes while this machine has no network does not count.
func (p *process) abandoned(ctx context.Context) bool {
	if p.pool.State().Carriers > 0 {
		return false
	}
	if to := p.known(); len(to) > 0 && len(p.sources(to)) == 0 {
		p.offline = time.Now()
	}
	silent := func() bool {
		return time.Since(p.source.Heard()) > p.times.gone && time.Since(p.offline) > p.times.gone
	}
	if !silent() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var now v1alpha1.Session
	_ = p.client.Get(ctx, client.ObjectKeyFromObject(p.object), &now) // the source hears the answer
	return silent()
}

func (p *process) held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until)
}
