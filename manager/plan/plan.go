// Package plan works out what the agent of a pod has to do, from the objects
// in the API alone. Every replica of the traffic-manager comes to the same
// plan, so nothing has to be shared between them.
package plan

import (
	"cmp"
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Planner makes plans out of cached objects and remembers them until
// something changed. It is safe for concurrent use.
type Planner struct {
	reader    client.Reader
	namespace string // of Sessions

	mu      sync.Mutex
	version uint64
	plans   map[types.UID][]*rpc.CapturePort
	known   map[named]*resolve.Workload
	wake    map[chan struct{}]bool
}

// New returns a Planner that reads from a cache.
func New(reader client.Reader, sessionNamespace string) *Planner {
	return &Planner{reader: reader, namespace: sessionNamespace,
		plans: map[types.UID][]*rpc.CapturePort{}, known: map[named]*resolve.Workload{}, wake: map[chan struct{}]bool{}}
}

// Changed forgets every plan: an Intercept, a Session or a workload is not
// what it was. It wakes all subscribers.
func (p *Planner) Changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version++
	clear(p.plans)
	clear(p.known)
	for ch := range p.wake {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Subscribe returns a channel that receives after every change; several
// changes may become one. Stop ends it.
func (p *Planner) Subscribe() (ch chan struct{}, stop func()) {
	ch = make(chan struct{}, 1)
	p.mu.Lock()
	p.wake[ch] = true
	p.mu.Unlock()
	return ch, func() {
		p.mu.Lock()
		delete(p.wake, ch)
		p.mu.Unlock()
	}
}

// Pod returns the ports to capture in a pod, ordered. The caller must not
// change them. A pod that is gone, or has another UID, has none.
func (p *Planner) Pod(ctx context.Context, namespace, name string, uid types.UID) ([]*rpc.CapturePort, error) {
	p.mu.Lock()
	version := p.version
	plan, ok := p.plans[uid]
	p.mu.Unlock()
	if ok {
		return plan, nil
	}
	var pod corev1.Pod
	if err := p.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &pod); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if pod.UID != uid {
		return nil, nil
	}
	plan, err := p.make(ctx, &pod, version)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.version == version && len(pod.Status.PodIPs) > 0 { // probes need the addresses
		p.plans[uid] = plan
	}
	p.mu.Unlock()
	return plan, nil
}

func (p *Planner) make(ctx context.Context, pod *corev1.Pod, version uint64) ([]*rpc.CapturePort, error) {
	var list v1alpha1.InterceptList
	if err := p.reader.List(ctx, &list, client.InNamespace(pod.Namespace)); err != nil {
		return nil, err
	}
	// Where two claim one port, every replica is to choose the same.
	slices.SortFunc(list.Items, func(a, b v1alpha1.Intercept) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	var ports []*rpc.CapturePort
	for i := range list.Items {
		ic := &list.Items[i]
		if !inForce(ic) {
			continue
		}
		w, err := p.workload(ctx, named{ic.Namespace, ic.Spec.Workload}, version)
		if err != nil || !w.Matches(pod) {
			continue // gone since it was accepted: nothing to capture
		}
		relays, err := p.relays(ctx, ic)
		if err != nil {
			return nil, err
		}
		for _, r := range ic.Status.Ports {
			number := resolve.PortIn(pod, r)
			if number == 0 || taken(ports, number, r.Protocol) {
				continue
			}
			ports = append(ports, &rpc.CapturePort{
				Port: uint32(number), Protocol: protocol(r.Protocol), KeepEstablished: ic.Spec.KeepEstablished,
				Route: &rpc.Route{Intercept: ic.Namespace + "/" + ic.Name, InterceptUid: string(ic.UID),
					Session: ic.Spec.Session, Relays: relays, NoFallback: ic.Spec.NoFallback},
			})
			declareProbes(ports[len(ports)-1], pod)
		}
	}
	slices.SortFunc(ports, func(a, b *rpc.CapturePort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return ports, nil
}

// named is a workload by name.
type named struct {
	namespace string
	ref       v1alpha1.WorkloadReference
}

// workload reads a workload once per version, if its changes are ones that are
// heard of: whose the pods of a Service are may change without.
func (p *Planner) workload(ctx context.Context, n named, version uint64) (*resolve.Workload, error) {
	p.mu.Lock()
	w, ok := p.known[n]
	ok = ok && p.version == version
	p.mu.Unlock()
	if ok {
		return w, nil
	}
	w, err := resolve.Get(ctx, p.reader, n.namespace, n.ref)
	if err != nil || !slices.Contains([]string{"Deployment", "StatefulSet", "ReplicaSet", "Rollout"}, n.ref.Kind) {
		return w, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.version == version {
		p.known[n] = w
	}
	return w, nil
}

// relays are the addresses that hold the session; none when it belongs to
// somebody else.
func (p *Planner) relays(ctx context.Context, ic *v1alpha1.Intercept) ([]string, error) {
	var s v1alpha1.Session
	if err := p.reader.Get(ctx, client.ObjectKey{Namespace: p.namespace, Name: ic.Spec.Session}, &s); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if s.Spec.User != ic.Spec.User {
		return nil, nil
	}
	var out []string
	for _, r := range s.Status.Relays {
		out = append(out, r.Address)
	}
	slices.Sort(out)
	return out, nil
}

// Accepted says that the controller has resolved this very spec and that the
// intercept is not on its way out.
func Accepted(ic *v1alpha1.Intercept) bool {
	c := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionResolved)
	return inForce(ic) && c.ObservedGeneration == ic.Generation
}

// inForce says that status.ports are to be captured: of this spec, or of the
// one before while this one is being resolved.
func inForce(ic *v1alpha1.Intercept) bool {
	return ic.DeletionTimestamp == nil && meta.IsStatusConditionTrue(ic.Status.Conditions, v1alpha1.ConditionResolved)
}

func taken(ports []*rpc.CapturePort, number int32, p corev1.Protocol) bool {
	return slices.ContainsFunc(ports, func(c *rpc.CapturePort) bool {
		return c.Port == uint32(number) && c.Protocol == protocol(p)
	})
}

func protocol(p corev1.Protocol) rpc.Protocol {
	if p == corev1.ProtocolUDP {
		return rpc.Protocol_UDP
	}
	return rpc.Protocol_TCP
}
