package session

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/credentials"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/local"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

const (
	// carriers is how many there are; more gave nothing.
	carriers = 4
	// windowBudget is what the windows of all flows may grow by. It is what
	// programs that stop reading can pin on top of their initial windows, and
	// twice what a fast line of 20 ms has under way.
	windowBudget = 24 << 20
	// memoryLimit makes the collector work harder when many flows are stalled.
	memoryLimit = 128 << 20
	gcPercent   = 100

	// lockTimeout is how long a process that ends may still hold the lock.
	lockTimeout = 2 * time.Second
	// startTimeout bounds each step of the start, endTimeout the clean-up.
	startTimeout = 30 * time.Second
	endTimeout   = 5 * time.Second
	// refusedTimeout is how long a traffic-manager may refuse a new session,
	// as it does while it has not heard of the object.
	refusedTimeout = 15 * time.Second
)

// endReason is why a process ends.
type endReason string

const (
	endQuit     endReason = "asked to"
	endSignal   endReason = "by a signal"
	endReplaced endReason = "replaced by another process"
	endIdle     endReason = "no intercept needs it"
	endDeleted  endReason = "its Session object was deleted"
	endOther    endReason = "the credentials are those of another user, or of another cluster"
	endGone     endReason = "the cluster has not answered for long"
	endFailed   endReason = "it cannot connect"
)

// process is the session, from taking the lock to giving it back.
type process struct {
	id        *identity
	dir       *state.Dir
	source    *credentials.Source
	transport string
	log       *slog.Logger
	times     times
	started   time.Time

	mu     sync.Mutex
	phase  string
	user   string
	state  state.State
	object *v1alpha1.Session
	pool   *carrier.Pool
	lines  *carrier.Lines // nil where the transport has none
	// What outbound access is made of: the Hello of carriers, the ways to the
	// manager, the context of the work.
	hello   handshake.Hello
	dialers *carrier.Ladder
	running context.Context
	network network
	learnt  learnt
	// leads says that this machine's resolv.conf leads to a cluster, sources which
	// addresses it has on the way to others.
	leads   func() bool
	sources func([]netip.Addr) []netip.Addr
	// dropLines drops connections that lines use.
	dropLines func()
	client    client.WithWatch
	denials   outbound.Denials
	cluster   clusterFeed // the cluster's network
	table     *local.Table
	// until is the earliest end for want of work. When the end begins, reason says why,
	// which is "" before, and end is closed.
	until  time.Time
	reason endReason
	end    chan struct{}
	// offline is when this machine was last seen without a network; only the goroutine
	// of watchIdle uses it.
	offline time.Time
	// claimed is closed when it is known who the user is, over at the end.
	claimed, over chan struct{}
	fatal         error
	once          bool // it was connected
}

func newProcess(id *identity, dir *state.Dir, source *credentials.Source, transport string, log *slog.Logger) *process {
	return &process{id: id, dir: dir, source: source, transport: transport, log: log, times: defaultTimes(), started: time.Now(), leads: netd.Left, sources: sources,
		phase: "starting session", end: make(chan struct{}), claimed: make(chan struct{}), over: make(chan struct{})}
}

// run is the process. It returns ErrLocked if another one is the session.
func (p *process) run(ctx context.Context) (err error) {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	lock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	defer close(p.over)
	p.dir.ClearFailure()
	defer func() {
		if err != nil {
			p.log.Error("session failed", "error", err)
			err = errors.Join(err, p.dir.Fail(render.Error(err)))
		}
	}()
	if err := p.dir.SavePID(); err != nil { // a later one must not be ended by an old number
		return err
	}
	defer p.dir.ClearPID()
	if p.state, err = p.dir.Load(); err != nil {
		return err
	}
	p.state.Context, p.state.Server, p.state.ManagerNamespace = p.id.Context, p.id.Server, p.id.ManagerNamespace
	p.state.Generation = max(p.state.Generation+1, uint64(time.Now().UnixNano()))
	p.hold()
	l, err := listen(p.dir.Socket())
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p.routes(), ReadHeaderTimeout: startTimeout}
	go server.Serve(l)
	// Requests under way, such as the one to quit, get their answer.
	defer func() {
		sctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(sctx) != nil {
			server.Close()
		}
	}()
	return p.serve(ctx)
}

// lock waits a little for a process that is about to end.
func (p *process) lock(ctx context.Context) (*state.Lock, error) {
	deadline := time.Now().Add(lockTimeout)
	for {
		l, err := p.dir.Lock()
		if !errors.Is(err, state.ErrLocked) || time.Now().After(deadline) {
			return l, err
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
