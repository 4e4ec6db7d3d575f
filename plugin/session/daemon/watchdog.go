package daemon

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// watchdog ends a process that nothing needs, and access and intercepts whose commands were
// killed.
type watchdog struct {
	settings

	life   *lifetime
	record *stateFile
	work   *work
	// offline is when this machine was last seen without a network.
	offline time.Time
}

// run returns when ctx ends, or when the cluster has not answered for too long.
func (w *watchdog) run(ctx context.Context) {
	ticker := time.NewTicker(w.times.check)
	defer ticker.Stop()
	last := time.Now() // when the process was last in use
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		w.releaseDead(ctx)
		w.work.endUnused(w.record.State())
		if w.abandoned(ctx) {
			w.life.end(endGone)
			return
		}
		if len(w.work.table.Keys()) > 0 || w.work.access.Online() {
			last = time.Now()
			continue
		}
		if time.Since(last) < w.times.idle && !w.life.released() || w.life.held() {
			continue
		}
		// Commands on other machines, or kubectl, may have created an Intercept.
		sctx, cancel := context.WithTimeout(ctx, startTimeout)
		err := w.work.table.Sweep(sctx, w.id.Namespace)
		cancel()
		switch {
		case err != nil:
			last = time.Now() // the API server is away: ask again later
		case len(w.work.table.Keys()) == 0:
			w.life.endIdle()
		}
	}
}

// releaseDead releases the access of commands that were killed, and ends their intercepts.
func (w *watchdog) releaseDead(ctx context.Context) {
	s := w.record.State()
	for _, by := range s.Commands() {
		if w.dir.Lives(by) {
			continue
		}
		w.log.Info("a command was killed", "command", by)
		if err := w.work.access.Release(ctx, by); err != nil {
			w.log.Warn("access is not released", "command", by, "error", err)
		}
		w.work.table.EndWhere(func(_ string, p state.Program) bool { return p.Command == by && !p.Access })
		w.life.release(by)
	}
}

// abandoned says that the cluster has not answered for too long. A process with carriers
// hears from the cluster all the time. A process without carriers asks the API server. Time
// during which this machine has no network does not count.
func (w *watchdog) abandoned(ctx context.Context) bool {
	if w.work.link.pool.State().Carriers > 0 {
		return false
	}
	if w.work.access.Offline() {
		w.offline = time.Now()
	}
	silent := func() bool {
		return time.Since(w.source.Heard()) > w.times.gone && time.Since(w.offline) > w.times.gone
	}
	if !silent() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var now v1alpha1.Session
	_ = w.work.client.Get(ctx, client.ObjectKeyFromObject(w.work.object), &now) // an answer updates source.Heard
	return silent()
}
