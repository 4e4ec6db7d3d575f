package pause

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/environ"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// retryPause is the pause before a container is stopped again that could not be stopped, or
// whose processes have ended.
const retryPause = 2 * time.Second

// Pauser stops one container as long as somebody wants that. It is safe for concurrent use.
type Pauser struct {
	ctx     context.Context
	of      members
	log     *slog.Logger
	changed chan struct{}

	mu      sync.Mutex
	end     context.CancelFunc // of the pause; nil: the container runs
	ended   chan struct{}      // is closed when the processes go on
	state   rpc.PortState
	message string
}

// New returns the Pauser of a container, whose ID is that in the pod's status. The container
// goes on when ctx ends.
func New(ctx context.Context, container string, log *slog.Logger) *Pauser {
	return newPauser(ctx, func() ([]int, error) { return environ.Root.Members(container) }, log)
}

func newPauser(ctx context.Context, of members, log *slog.Logger) *Pauser {
	return &Pauser{ctx: ctx, of: of, log: log, changed: make(chan struct{}, 1)}
}

// Changed receives after the state changed, and after the container went on.
func (p *Pauser) Changed() <-chan struct{} { return p.changed }

// State says how far the pause is: pending, verified once no process of the container runs, or
// failed.
func (p *Pauser) State() (state rpc.PortState, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.message
}

// Begin has the container stopped, and kept so until End. It does not wait for that.
func (p *Pauser) Begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		return
	}
	ctx, end := context.WithCancel(p.ctx)
	ended := make(chan struct{})
	p.end, p.ended, p.state, p.message = end, ended, rpc.PortState_PENDING, ""
	go func() {
		defer close(ended)
		p.keep(ctx)
	}()
}

// End lets the container go on. When it returns, its processes do.
func (p *Pauser) End() {
	p.mu.Lock()
	end, ended := p.end, p.ended
	p.end = nil
	p.mu.Unlock()
	if end != nil {
		end()
		<-ended
		p.signal()
	}
}

// keep stops the container until ctx ends.
func (p *Pauser) keep(ctx context.Context) {
	for ctx.Err() == nil {
		err := hold(ctx, p.of, func(threads int) {
			p.log.Info("the container is stopped", "threads", threads)
			p.set(ctx, rpc.PortState_VERIFIED, "")
		})
		if err == nil || errors.Is(err, context.Canceled) {
			p.log.Info("the container goes on")
			return
		}
		p.log.Warn("the container goes on", "error", err)
		p.set(ctx, rpc.PortState_FAILED, err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// set says how far a pause is that has not ended.
func (p *Pauser) set(ctx context.Context, state rpc.PortState, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil || p.state == state && p.message == message {
		return
	}
	p.state, p.message = state, message
	p.signal()
}

func (p *Pauser) signal() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}
