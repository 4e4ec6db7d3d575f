package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/access"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/credentials"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/mounts"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

const (
	// memoryLimit makes the garbage collector work harder when many flows are stalled.
	memoryLimit = 128 << 20
	gcPercent   = 100

	// lockTimeout is how long the process before may take to end and release the lock.
	lockTimeout = 2 * time.Second
	// lockPoll is the pause between two attempts to take the lock.
	lockPoll = 20 * time.Millisecond
	// startTimeout limits each step of the start, endTimeout the clean-up.
	startTimeout = 30 * time.Second
	endTimeout   = 5 * time.Second
)

// settings are what a process is started with. They do not change.
type settings struct {
	id        *socket.Identity
	dir       *state.Dir
	source    *credentials.Source
	transport string
	log       *slog.Logger
	level     *logLevel
	times     times
	machine   access.Machine
}

// times are how long a process waits. Tests make them short.
type times struct {
	// idle is how long a process keeps running while no Intercept refers to its session.
	idle time.Duration
	// hold is how long a command that has contacted the process may take to create an
	// Intercept.
	hold time.Duration
	// check is how often the process checks whether it is needed.
	check time.Duration
	// gone is how long a process keeps running while the cluster does not answer, or no
	// longer knows the user. The next process takes over the intercepts.
	gone   time.Duration
	access access.Times
}

func defaultTimes() times {
	return times{idle: 30 * time.Second, hold: 90 * time.Second, check: time.Second, gone: 30 * time.Minute, access: access.DefaultTimes()}
}

// process is the session process. It serves the session while it holds the lock.
type process struct {
	settings

	started time.Time
	life    *lifetime
	record  *stateFile // set once the process holds the lock
	// claimed is closed when the process has its Session object, over when the process
	// ends.
	claimed, over chan struct{}
	renewal       *renewal

	mu     sync.Mutex
	object *v1alpha1.Session // nil before it is claimed
	work   *work             // nil before it begins
}

func newProcess(id *socket.Identity, dir *state.Dir, source *credentials.Source, transport string, log *slog.Logger, level *slog.LevelVar) *process {
	return &process{settings: settings{id: id, dir: dir, source: source, transport: transport, log: log, level: newLogLevel(level, log), times: defaultTimes(),
		machine: access.Machine{ResolvConfIsOurs: netd.Left, Sources: access.Sources}},
		started: time.Now(), life: newLifetime(), claimed: make(chan struct{}), over: make(chan struct{}), renewal: newRenewal()}
}

// run runs the process until it ends. It returns ErrLocked if another process holds the
// session.
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
	if err := p.dir.SavePID(); err != nil { // a stale PID may be that of another program, which nobody may kill
		return err
	}
	defer p.dir.ClearPID()
	s, err := p.dir.Load()
	if err != nil {
		return err
	}
	s.Context, s.Server, s.ManagerNamespace = p.id.Context, p.id.Server, p.id.ManagerNamespace
	s.Generation = max(s.Generation+1, uint64(time.Now().UnixNano()))
	p.record = &stateFile{dir: p.dir, log: p.log, state: s}
	p.life.hold(p.times.hold, "")
	if err := mounts.Recover(p.dir); err != nil {
		p.log.Warn("what an earlier process mounted is not unmounted", "error", err)
	}
	l, err := listen(p.dir.Socket())
	if err != nil {
		return err
	}
	server := &http.Server{Handler: (&api{p}).routes(), ReadHeaderTimeout: startTimeout}
	go server.Serve(l)
	// Let requests in flight finish, such as the request to quit.
	defer func() {
		sctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(sctx) != nil {
			server.Close()
		}
	}()
	return p.serve(ctx)
}

// lock takes the lock. It waits up to lockTimeout for a process that is about to end.
func (p *process) lock(ctx context.Context) (*state.Lock, error) {
	deadline := time.Now().Add(lockTimeout)
	for {
		l, err := p.dir.Lock()
		if !errors.Is(err, state.ErrLocked) || time.Now().After(deadline) {
			return l, err
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var errNotConnected = errors.New("the session is not connected yet")

// working returns the work, or an error if it has not begun.
func (p *process) working() (*work, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.work == nil {
		return nil, errNotConnected
	}
	return p.work, nil
}
