// Package network knows the cluster's network as a connected machine needs it:
// which addresses are those of Services and of pods. It takes them from what
// the cluster declares (the ServiceCIDR API, KEP-1880; the pod CIDRs of nodes)
// and from addresses that it sees in use, for clusters that declare nothing,
// pod networks that go their own way, and installations that may not look.
package network

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// quiet is the least time between two changes that sessions are told: a node
// pool that grows changes much within seconds.
const quiet = 2 * time.Second

// Config is what a Watcher is made of.
type Config struct {
	// Cache holds Services and pods. Live is the API server itself.
	Cache cache.Cache
	Live  client.Reader
	Log   *slog.Logger
	// Domain is the cluster's, DNS are its name servers.
	Domain string
	DNS    []netip.Addr
	// Routing and Names are the operator's wishes.
	Routing v1alpha1.SessionRouting
	Names   v1alpha1.SessionDNS
}

// Watcher follows the cluster's network. It is safe for concurrent use.
type Watcher struct {
	cfg     Config
	base    v1alpha1.SessionNetwork
	last    atomic.Pointer[v1alpha1.SessionNetwork]
	dirty   chan struct{}
	changes chan event.GenericEvent

	mu             sync.Mutex
	services, pods *kind
}

// New makes a Watcher. Watch must be called next.
func New(c Config) *Watcher {
	w := &Watcher{cfg: c, dirty: make(chan struct{}, 1), changes: make(chan event.GenericEvent),
		services: newKind(), pods: newKind(),
		base: v1alpha1.SessionNetwork{ClusterDomain: c.Domain, Routing: c.Routing, DNS: c.Names}}
	for _, a := range c.DNS {
		w.base.DNSAddresses = append(w.base.DNSAddresses, a.String())
	}
	return w
}

// Network is the last that is known; nil before Start knows any. The caller
// must not change it.
func (w *Watcher) Network() *v1alpha1.SessionNetwork { return w.last.Load() }

// Changes has an event for every change of Network; it must be read.
func (w *Watcher) Changes() <-chan event.GenericEvent { return w.changes }

// Start computes the network, and again after changes, until ctx ends. The
// leader alone does.
func (w *Watcher) Start(ctx context.Context) error {
	if err := w.watch(ctx); err != nil {
		return err
	}
	for {
		if w.compute() {
			select {
			case w.changes <- event.GenericEvent{Object: &v1alpha1.Session{}}:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(quiet):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.dirty:
		}
	}
}

// compute says whether the network is another than before.
func (w *Watcher) compute() bool {
	n := w.base.DeepCopy()
	w.mu.Lock()
	n.ServiceCIDRs, n.PodCIDRs = w.services.ranges(), w.pods.ranges()
	w.mu.Unlock()
	if old := w.last.Load(); old != nil && reflect.DeepEqual(old, n) {
		return false
	}
	w.last.Store(n)
	w.cfg.Log.Info("cluster network", "services", n.ServiceCIDRs, "pods", n.PodCIDRs)
	return true
}

// watch follows declarations first, so that only addresses outside of them
// are strays.
func (w *Watcher) watch(ctx context.Context) error {
	declared, err := w.declared(ctx)
	for ; err != nil; declared, err = w.declared(ctx) {
		w.cfg.Log.Warn("network is not known yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(quiet):
		}
	}
	for o, k := range declared {
		err := w.follow(ctx, o, func(o any) bool {
			name, cidrs := declaration(o)
			return k.declare(name, cidrs)
		}, func(o any) bool {
			name, _ := declaration(o)
			return k.declare(name, nil)
		})
		if err != nil {
			return err
		}
	}
	for o, k := range map[client.Object]*kind{&corev1.Service{}: w.services, &corev1.Pod{}: w.pods} {
		err := w.follow(ctx, o, func(o any) bool {
			changed := false
			for _, a := range addresses(o) {
				changed = k.see(a) || changed
			}
			return changed
		}, func(any) bool { return false })
		if err != nil {
			return err
		}
	}
	return nil
}

// declared are the objects with declarations that there are and that may be
// watched.
func (w *Watcher) declared(ctx context.Context) (map[client.Object]*kind, error) {
	out := map[client.Object]*kind{}
	for _, c := range []struct {
		object client.Object
		list   client.ObjectList
		kind   *kind
	}{
		{&corev1.Node{}, &corev1.NodeList{}, w.pods},
		{&networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{}, w.services},
		{&networkingv1beta1.ServiceCIDR{}, &networkingv1beta1.ServiceCIDRList{}, w.services},
	} {
		if _, old := c.object.(*networkingv1beta1.ServiceCIDR); old && hasKind(out, w.services) {
			continue
		}
		err := w.cfg.Live.List(ctx, c.list, client.Limit(1))
		switch {
		case err == nil:
			out[c.object] = c.kind
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err), meta.IsNoMatchError(err):
			w.cfg.Log.Debug("network is not read from here", "from", fmt.Sprintf("%T", c.object), "reason", err)
		default:
			return nil, fmt.Errorf("look at the cluster's network: %w", err)
		}
	}
	return out, nil
}

func hasKind(m map[client.Object]*kind, k *kind) bool {
	for _, x := range m {
		if x == k {
			return true
		}
	}
	return false
}

// follow tells of every object that there is and will be. It returns when
// those that there are have been told.
func (w *Watcher) follow(ctx context.Context, o client.Object, seen, gone func(any) bool) error {
	inf, err := w.cfg.Cache.GetInformer(ctx, o)
	if err != nil {
		return fmt.Errorf("watch %T: %w", o, err)
	}
	note := func(change func(any) bool, o any) {
		w.mu.Lock()
		changed := change(o)
		w.mu.Unlock()
		if changed {
			select {
			case w.dirty <- struct{}{}:
			default:
			}
		}
	}
	reg, err := inf.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { note(seen, o) },
		UpdateFunc: func(_, o any) { note(seen, o) },
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			note(gone, o)
		},
	})
	if err != nil {
		return fmt.Errorf("watch %T: %w", o, err)
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), reg.HasSynced) {
		return ctx.Err()
	}
	return nil
}
