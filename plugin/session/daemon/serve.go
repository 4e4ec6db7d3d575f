package daemon

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// serve claims the Session object, connects, and works until the process has a reason to
// end.
func (p *process) serve(ctx context.Context) error {
	c, err := kube.NewClient(p.source.Client())
	if err != nil {
		return err
	}
	if err := p.claim(ctx, c); err != nil {
		if p.life.why() != "" {
			return socket.ErrEnding
		}
		return err
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := p.newWork(wctx, c)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.work = w
	p.mu.Unlock()
	p.source.Guard(p.verify, w.retry)
	close(p.claimed)
	p.log.Info("session starts", "session", w.object.Name, "user", w.object.Spec.User, "server", p.id.Server, "pid", os.Getpid(), "build", socket.Build())
	var wg sync.WaitGroup
	p.begin(wctx, w, &wg)
	reason := endSignal
	select {
	case <-p.life.ending:
		reason = p.life.why()
	case <-ctx.Done():
	}
	p.log.Info("session ends", "reason", string(reason))
	cancel()
	wg.Wait()
	w.mounts.Close(reason != endReplaced && reason != endGone && reason != endFailed)
	if err := w.access.Close(); err != nil {
		p.log.Warn("the network is not undone", "error", err)
	}
	return p.leave(w, reason)
}

// begin starts everything that a process does until ctx ends.
func (p *process) begin(ctx context.Context, w *work, wg *sync.WaitGroup) {
	wg.Go(func() { w.link.pool.Run(ctx) })
	wg.Go(func() { w.renewal.run(ctx, w) })
	wg.Go(func() { w.link.lines.Run(ctx) })
	wg.Go(func() { carrier.WatchClock(ctx, w.woke) })
	wg.Go(func() { w.resume(ctx, p.record.State()) })
	wg.Go(func() { w.access.Resume(ctx) })
	wg.Go(func() { w.access.WatchReach(ctx) })
	wg.Go(func() { (&watchdog{settings: p.settings, life: p.life, record: p.record, work: w}).run(ctx) })
	wg.Go(func() {
		untilDeleted(ctx, w.client, w.object, func(s *v1alpha1.Session) {
			w.feed.Set(s.Status.Network)
			if asksRenewal(s) {
				w.renewal.ask()
			}
		})
		if ctx.Err() == nil {
			p.life.end(endDeleted)
		}
	})
}

// claim asks the API server for the user's name and gets the Session object. It stops when
// the process begins to end.
func (p *process) claim(ctx context.Context, c client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	go func() {
		select {
		case <-p.life.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	user, err := target.UserInfo(ctx, c)
	if err != nil {
		return err
	}
	former := p.record.State()
	claimed := former
	object, err := claim(ctx, c, p.id.ManagerNamespace, user, &claimed)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.object = object
	p.mu.Unlock()
	if !sameExtra(object, user) {
		p.renewal.ask()
	}
	// A command may have changed the state in the meantime, by a request to disconnect.
	return p.record.update(func(s *state.State) {
		if !bytes.Equal(claimed.Key, former.Key) {
			s.Clear()
		}
		s.User, s.Session, s.Key = user.Username, claimed.Session, claimed.Key
	})
}

// leave cleans up, depending on the reason for the end.
func (p *process) leave(w *work, reason endReason) error {
	if reason == endReplaced || reason == endGone {
		return nil // the next process goes on
	}
	var err error
	if reason == endFailed {
		err = w.link.failure()
	}
	if reason == endFailed && len(p.record.State().Intercepts) > 0 {
		return err // the next process that can connect takes over the intercepts
	}
	if reason != endDeleted {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		defer cancel()
		if derr := deleteObject(ctx, w.client, w.object); derr != nil {
			p.log.Warn("session is not cleaned up", "error", derr) // the next process takes over the object
			if reason == endQuit {                                 // but no intercepts and no access
				return errors.Join(err, p.record.update((*state.State).Clear))
			}
			return err
		}
	}
	return errors.Join(err, p.record.update((*state.State).Renew))
}
