package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/local"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// serve claims the Session object, connects and works until there is a reason
// to end.
func (p *process) serve(ctx context.Context) error {
	c, err := kube.NewClient(p.source.Client())
	if err != nil {
		return err
	}
	if err := p.claim(ctx, c); err != nil {
		select {
		case <-p.end:
			return errEnding
		default:
			return err
		}
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.prepare(wctx, c); err != nil {
		return err
	}
	p.source.Guard(p.verify, p.retry)
	close(p.claimed)
	p.log.Info("session starts", "session", p.object.Name, "user", p.user, "server", p.id.Server, "pid", os.Getpid(), "build", build())
	var wg sync.WaitGroup
	wg.Go(func() { p.pool.Run(wctx) })
	if p.lines != nil {
		wg.Go(func() { p.lines.Run(wctx) })
	}
	wg.Go(func() { carrier.WatchClock(wctx, p.woke) })
	wg.Go(func() { p.resume(wctx) })
	wg.Go(func() { p.reconnect(wctx) })
	wg.Go(func() { p.watchReach(wctx) })
	wg.Go(func() { p.watchIdle(wctx) })
	wg.Go(func() {
		untilDeleted(wctx, c, p.object, func(s *v1alpha1.Session) { p.cluster.set(s.Status.Network) })
		if wctx.Err() == nil {
			p.finish(endDeleted)
		}
	})
	reason := endSignal
	select {
	case <-p.end:
		reason = p.reason
	case <-ctx.Done():
	}
	p.log.Info("session ends", "reason", string(reason))
	cancel()
	wg.Wait()
	if err := p.network.hangUp(); err != nil {
		p.log.Warn("the network is not undone", "error", err)
	}
	return p.leave(c, reason)
}

// claim finds out who the user is and gets the Session object, unless the end
// begins before.
func (p *process) claim(ctx context.Context, c client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	go func() {
		select {
		case <-p.end:
			cancel()
		case <-ctx.Done():
		}
	}()
	user, err := target.UserInfo(ctx, c)
	if err != nil {
		return err
	}
	s := p.state // only this goroutine changes it so far
	s.User = user.Username
	object, err := claim(ctx, c, p.id.ManagerNamespace, user, &s)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user, p.object, p.state, p.phase = user.Username, object, s, "connecting to the traffic-manager"
	return p.dir.Save(s)
}

// prepare makes the table and the pool.
func (p *process) prepare(ctx context.Context, c client.WithWatch) error {
	ladder, err := p.ladder(c)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table = local.NewTable(ctx, c, p.object.Name, p.user, p.log, p.saveIntercepts)
	hello := handshake.Hello{Session: p.object.Name, Token: [handshake.TokenSize]byte(p.state.Token),
		Generation: p.state.Generation, Direction: handshake.Inbound, Version: build()}
	go buffer.ReleaseMemory(ctx)
	p.hello, p.dialers, p.running, p.client = hello, ladder, ctx, c
	budget := mux.NewBudget(windowBudget)
	table := p.table
	p.pool = carrier.NewPool(carrier.Config{Size: carriers, Dial: ladder.Dial, Hello: hello, Log: p.log,
		Serve:     serveCarrier(budget, table.Handle),
		Connected: p.connected, Failed: p.failed})
	if p.transport == carrier.ViaPortForward {
		return nil
	}
	return p.prepareLines(&hello)
}

// prepareLines makes the lines; p.mu is held.
func (p *process) prepareLines(hello *handshake.Hello) error {
	keys, err := handshake.NewKeys(hello.Token)
	if err != nil {
		return err
	}
	proxy, err := carrier.NewLineProxy(p.source, p.id.ManagerNamespace)
	if err != nil {
		return err
	}
	p.dropLines = proxy.Drop
	pool := p.pool
	p.lines, err = carrier.NewLines(carrier.LinesConfig{Dial: proxy.Dial, Keys: keys, Session: hello.Session,
		Generation: hello.Generation, Handler: p.table.Handle, Log: p.log,
		Up: func() bool { s := pool.State(); return s.Carriers > 0 && s.Transport == carrier.ViaService }})
	return err
}

// woke acts on a sleep of the machine.
func (p *process) woke(gap time.Duration) {
	p.pool.Woke(gap)
	if w := p.network.current(); w != nil {
		w.pool.Woke(gap)
	}
	if p.lines != nil && gap > carrier.LongSleep {
		p.lines.Renew()
		p.dropLines()
	}
}

func (p *process) ladder(c client.Reader) (*carrier.Ladder, error) {
	var ways []carrier.Transport
	if p.transport != carrier.ViaPortForward {
		t, err := carrier.NewServiceProxy(p.source, p.id.ManagerNamespace)
		if err != nil {
			return nil, err
		}
		ways = append(ways, t)
	}
	if p.transport != carrier.ViaService {
		ways = append(ways, carrier.NewPortForward(p.source, c, p.id.ManagerNamespace))
	}
	l := carrier.NewLadder(ways...)
	if p.state.Transport != "" {
		l.Prefer(p.state.Transport, p.state.TransportTime.Add(carrier.ForgetAfter))
	}
	return l, nil
}

// leave cleans up for a reason.
func (p *process) leave(c client.Client, reason endReason) error {
	if reason == endReplaced || reason == endGone {
		return nil // a successor goes on
	}
	p.mu.Lock()
	s := p.state
	var err error
	if reason == endFailed {
		err = p.fatal
	}
	p.mu.Unlock()
	if reason == endFailed && len(s.Intercepts) > 0 {
		return err // what it served goes on when the next one can connect
	}
	if reason != endDeleted {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		defer cancel()
		if derr := deleteObject(ctx, c, p.object); derr != nil {
			p.log.Warn("session is not cleaned up", "error", derr) // a successor takes it over
			if reason == endQuit {                                 // and nothing that it was for
				s.Clear()
				return errors.Join(err, p.dir.Save(s))
			}
			return err
		}
	}
	s.Renew()
	return errors.Join(err, p.dir.Save(s))
}

// explain finds the plain words for why there is no carrier.
func (p *process) explain(err error) error {
	if carrier.Hopeless(err) && (errors.Is(err, carrier.ErrNoManager) || apierrors.IsNotFound(err)) {
		return &target.NotInstalledError{Namespace: p.id.ManagerNamespace}
	}
	if p.transport != carrier.Auto && carrier.IsNotPossible(err) && !apierrors.IsForbidden(err) {
		return fmt.Errorf("%w (another --transport may work)", err)
	}
	return err
}
