package local

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// Table holds the Intercepts of one session. It is safe for concurrent use.
//
// It learns of an Intercept by Track, by Sweep, or when the Intercept's first flow arrives.
// It reads the Intercept with the user's own permissions, and watches it until it is gone.
// It does not serve an Intercept of another session.
type Table struct {
	ctx     context.Context // ends the watches
	client  client.WithWatch
	session string
	user    string
	log     *slog.Logger
	changed func()

	flight    singleflight.Group
	mu        sync.Mutex
	entries   map[types.NamespacedName]*entry
	questions map[string]*question // that agents have not all answered yet
}

// NewTable returns the Table of a user's session. It watches what it serves until ctx ends,
// and calls changed when an Intercept comes or goes.
func NewTable(ctx context.Context, c client.WithWatch, session, user string, log *slog.Logger, changed func()) *Table {
	return &Table{ctx: ctx, client: c, session: session, user: user, log: log, changed: changed, entries: map[types.NamespacedName]*entry{},
		questions: map[string]*question{}}
}

// Keys are the served Intercepts, sorted.
func (t *Table) Keys() []types.NamespacedName {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]types.NamespacedName, 0, len(t.entries))
	for k := range t.entries {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// UIDs are those of the served Intercepts.
func (t *Table) UIDs() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	uids := map[string]bool{}
	for _, e := range t.entries {
		uids[string(e.object().UID)] = true
	}
	return uids
}

// Intercept returns an Intercept of the session.
func (t *Table) Intercept(ctx context.Context, key types.NamespacedName) (*v1alpha1.Intercept, error) {
	e, err := t.fetch(ctx, key)
	if err != nil {
		return nil, err
	}
	return e.object(), nil
}

// Served returns an Intercept as it was last seen; nil if it is not served.
func (t *Table) Served(key types.NamespacedName) *v1alpha1.Intercept {
	t.mu.Lock()
	e := t.entries[key]
	t.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.object()
}

// Known returns an Intercept of the session, and asks the API server only if it is not known
// yet.
func (t *Table) Known(ctx context.Context, key types.NamespacedName) (*v1alpha1.Intercept, error) {
	e, err := t.lookup(ctx, &frame.Open{Intercept: key.String()})
	if err != nil {
		return nil, err
	}
	return e.object(), nil
}

// Track serves an Intercept from now on. Its ports are this machine's or at the program's
// hosts, unless the program has a socket. If the program has a socket or a command, the
// Intercept ends with it: see EndWhere for the one that has no socket. Former is the program
// before. The error is frame.ErrDenied if the Intercept does not exist or is another session's.
func (t *Table) Track(ctx context.Context, key types.NamespacedName, p state.Program) (former state.Program, err error) {
	e, err := t.fetch(ctx, key)
	if err != nil {
		return state.Program{}, err
	}
	in, former := e.setProgram(p)
	if former.Equal(p) {
		return former, nil
	}
	if in != nil && former.Socket != p.Socket {
		go t.endWithProgram(key, e, in)
	}
	t.changed()
	return former, nil
}

// Sweep looks for Intercepts of this session in all namespaces, or, where the
// user may not read those, in the given ones.
func (t *Table) Sweep(ctx context.Context, namespaces ...string) error {
	var all v1alpha1.InterceptList
	err := t.client.List(ctx, &all)
	if apierrors.IsForbidden(err) {
		err = nil
		for _, ns := range namespaces {
			var list v1alpha1.InterceptList
			if lerr := t.client.List(ctx, &list, client.InNamespace(ns)); lerr != nil && !apierrors.IsForbidden(lerr) {
				err = lerr
			}
			all.Items = append(all.Items, list.Items...)
		}
	}
	for i := range all.Items {
		if t.mine(&all.Items[i]) {
			t.put(&all.Items[i])
		}
	}
	return err
}

// mine says whether an Intercept sends its traffic here and may.
func (t *Table) mine(i *v1alpha1.Intercept) bool {
	return i.Spec.Session == t.session && i.Spec.User == t.user && i.DeletionTimestamp == nil
}

// lookup returns the Intercept of a flow. An entry of another UID is stale.
func (t *Table) lookup(ctx context.Context, o *frame.Open) (*entry, error) {
	namespace, name, ok := strings.Cut(o.Intercept, "/")
	if !ok {
		return nil, frame.ErrDenied
	}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	t.mu.Lock()
	e := t.entries[key]
	t.mu.Unlock()
	if e != nil && (o.InterceptUID == "" || o.InterceptUID == string(e.object().UID)) {
		return e, nil
	}
	return t.fetch(ctx, key)
}

// fetch reads an Intercept; many callers at once cost one request.
func (t *Table) fetch(ctx context.Context, key types.NamespacedName) (*entry, error) {
	v, err, _ := t.flight.Do(key.String(), func() (any, error) {
		var i v1alpha1.Intercept
		// Not the caller's ctx: others wait for the same answer.
		ctx, cancel := context.WithTimeout(t.ctx, readTimeout)
		defer cancel()
		err := t.client.Get(ctx, key, &i)
		switch {
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("intercept %s does not exist: %w", key, frame.ErrDenied)
		case apierrors.IsForbidden(err):
			return nil, fmt.Errorf("%w: %w", err, frame.ErrDenied)
		case err != nil:
			return nil, fmt.Errorf("read intercept %s: %w", key, err)
		case !t.mine(&i):
			return nil, fmt.Errorf("intercept %s belongs to another session: %w", key, frame.ErrDenied)
		}
		return t.put(&i), nil
	})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return v.(*entry), nil
}

// put takes an Intercept in, or notes its change.
func (t *Table) put(i *v1alpha1.Intercept) *entry {
	key := client.ObjectKeyFromObject(i)
	t.mu.Lock()
	e := t.entries[key]
	if e != nil && e.object().UID == i.UID {
		t.mu.Unlock()
		e.set(i)
		return e
	}
	if e != nil {
		close(e.gone)
	}
	e = newEntry(i)
	t.entries[key] = e
	t.mu.Unlock()
	t.log.Info("serving intercept", "intercept", key.String())
	go t.follow(key, e)
	t.changed()
	return e
}

// drop forgets an entry, unless another Intercept has taken its place.
func (t *Table) drop(key types.NamespacedName, e *entry) {
	t.mu.Lock()
	if t.entries[key] != e {
		t.mu.Unlock()
		return
	}
	delete(t.entries, key)
	close(e.gone)
	t.mu.Unlock()
	t.log.Info("intercept is gone", "intercept", key.String())
	t.changed()
}
