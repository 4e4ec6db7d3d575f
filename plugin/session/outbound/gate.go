package outbound

import (
	"context"
	"errors"
	"sync"
)

// ErrAway says that the cluster was not asked, as it does not answer at present.
var ErrAway = errors.New("the cluster is out of reach")

// Gate is shut while the cluster is out of reach, so that dials fail at once instead
// of waiting. The zero value is open; it is safe for concurrent use.
type Gate struct {
	mu   sync.Mutex
	open context.Context // ends when the gate shuts; nil until somebody passes
	end  context.CancelFunc
	shut bool
}

// Set opens or shuts the gate. Shutting it ends the contexts that Pass returned.
func (g *Gate) Set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = !open
	if g.shut && g.end != nil {
		g.end()
		g.open, g.end = nil, nil
	}
}

// Away says that the gate is shut.
func (g *Gate) Away() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

// Pass returns a context that ends with ctx, with the returned function, and with
// cause ErrAway when the gate shuts. It fails if the gate is shut. A nil Gate is
// always open.
func (g *Gate) Pass(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	end := func() { cancel(nil) }
	if g == nil {
		return ctx, end, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		end()
		return nil, nil, ErrAway
	}
	if g.open == nil {
		g.open, g.end = context.WithCancel(context.Background())
	}
	stop := context.AfterFunc(g.open, func() { cancel(ErrAway) })
	return ctx, func() { stop(); end() }, nil
}
