package local

import (
	"context"
	"maps"
	"net"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// isolated is the localhost of a program with a network of its own. The command that
// started the program listens at the socket.
type isolated struct {
	socket string

	mu     sync.Mutex
	client *handover.Client
}

// connect returns the connection to the command that started the program.
func (i *isolated) connect(ctx context.Context) (*handover.Client, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.client != nil {
		select {
		case <-i.client.Done():
		default:
			return i.client, nil
		}
	}
	c, err := handover.Dial(ctx, i.socket)
	if err != nil {
		return nil, err
	}
	i.client = c
	return c, nil
}

// close may be called while others dial.
func (i *isolated) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.client != nil {
		_ = i.client.Close() // it has nothing to undo
	}
}

func (i *isolated) dial(ctx context.Context, p endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := i.connect(ctx)
	if err != nil {
		return nil, err
	}
	network := "tcp"
	if p.protocol == frame.UDP {
		network = "udp"
	}
	return c.DialInside(ctx, handover.Port{Network: network, Number: uint16(p.port)})
}

const (
	// redial is the pause before another attempt to reach the command that started the
	// program.
	redial = 500 * time.Millisecond
	// redials is how many attempts fail before the program counts as gone.
	redials = 4
)

// endWithProgram deletes the Intercept when the program for which it was made is gone. A
// program that was killed could not do so itself.
func (t *Table) endWithProgram(key types.NamespacedName, e *entry, in *isolated) {
	defer in.close()
	for failures := 0; failures < redials; {
		ctx, cancel := context.WithTimeout(t.ctx, readTimeout)
		c, err := in.connect(ctx)
		cancel()
		if err != nil {
			failures++
			select {
			case <-time.After(redial):
				continue
			case <-e.gone:
				return
			case <-t.ctx.Done():
				return
			}
		}
		failures = 0
		select {
		case <-c.Done():
		case <-e.gone:
			return
		case <-t.ctx.Done():
			return
		}
	}
	if e.program() != in {
		return // it is another program's now
	}
	t.end(key, e)
}

// end deletes an Intercept whose program is gone, or the access by it.
func (t *Table) end(key types.NamespacedName, e *entry) {
	i := e.object()
	t.log.Info("what the intercept was made for is gone", "intercept", key.String())
	ctx, cancel := context.WithTimeout(t.ctx, readTimeout)
	defer cancel()
	if err := t.client.Delete(ctx, i, client.Preconditions{UID: &i.UID}); client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		t.log.Warn("intercept is not left", "intercept", key.String(), "error", err)
	}
}

// EndWhere deletes the Intercepts of which over is true, by their key and their program.
func (t *Table) EndWhere(over func(key string, p state.Program) bool) {
	for key, e := range t.all() {
		if over(key.String(), e.endsWith()) {
			t.end(key, e)
		}
	}
}

// Programs are the programs of Intercepts that have one, by the Intercepts' "namespace/name".
func (t *Table) Programs() map[string]state.Program {
	all := map[string]state.Program{}
	for key, e := range t.all() {
		if p := e.endsWith(); !p.Equal(state.Program{}) {
			all[key.String()] = p
		}
	}
	return all
}

func (t *Table) all() map[types.NamespacedName]*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.entries)
}
