package plan

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Planner computes plans from cached objects and keeps them until Changed is
// called. It is safe for concurrent use.
type Planner struct {
	// Protocols says what a port without appProtocol speaks. It is set before the first
	// use.
	Protocols config.ProtocolStrategy

	reader    client.Reader
	namespace string // the namespace of Session objects
	answers   Answers

	mu          sync.Mutex
	version     uint64
	plans       map[types.UID]Plan
	workloads   map[workloadKey]*resolve.Workload
	subscribers map[chan struct{}]bool
}

// Answers says what the callers of personal intercepts are told.
type Answers struct {
	// ResponseHeader adds the Intercept's name to the laptop's answers.
	ResponseHeader bool
	// Notice is for how long callers are told that an Intercept has ended.
	Notice time.Duration
}

// New returns a Planner. The reader is expected to be a cache.
func New(reader client.Reader, sessionNamespace string, answers Answers) *Planner {
	return &Planner{reader: reader, namespace: sessionNamespace, answers: answers,
		plans: map[types.UID]Plan{}, workloads: map[workloadKey]*resolve.Workload{}, subscribers: map[chan struct{}]bool{}}
}

// Changed discards all plans and notifies all subscribers. It must be called after
// a change of an Intercept, a Session or a workload.
func (p *Planner) Changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version++
	clear(p.plans)
	clear(p.workloads)
	for ch := range p.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Subscribe returns a channel that receives a value after each call of Changed.
// Several calls may result in one value. Stop ends the subscription.
func (p *Planner) Subscribe() (ch chan struct{}, stop func()) {
	ch = make(chan struct{}, 1)
	p.mu.Lock()
	p.subscribers[ch] = true
	p.mu.Unlock()
	return ch, func() {
		p.mu.Lock()
		delete(p.subscribers, ch)
		p.mu.Unlock()
	}
}

// Pod returns the plan of a pod. The plan is empty if the pod does not exist or
// has another UID.
func (p *Planner) Pod(ctx context.Context, namespace, name string, uid types.UID) (Plan, error) {
	p.mu.Lock()
	version := p.version
	plan, ok := p.plans[uid]
	p.mu.Unlock()
	if ok {
		return plan, nil
	}
	var pod corev1.Pod
	if err := p.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &pod); err != nil {
		return Plan{}, client.IgnoreNotFound(err)
	}
	if pod.UID != uid {
		return Plan{}, nil
	}
	plan, err := p.newPlan(ctx, &pod, version)
	if err != nil {
		return Plan{}, err
	}
	p.mu.Lock()
	if p.version == version && len(pod.Status.PodIPs) > 0 { // without addresses, the plan's probes are incomplete
		p.plans[uid] = plan
	}
	p.mu.Unlock()
	return plan, nil
}

// newPlan computes the plan of a pod. The plan has a route for each port of each
// Intercept in force, in the order of function order. newPlan does not resolve conflicts
// between Intercepts: the
// controller has done that.
func (p *Planner) newPlan(ctx context.Context, pod *corev1.Pod, version uint64) (Plan, error) {
	var list v1alpha1.InterceptList
	if err := p.reader.List(ctx, &list, client.InNamespace(pod.Namespace)); err != nil {
		return Plan{}, err
	}
	var all []candidate
	for i := range list.Items {
		ic := &list.Items[i]
		if !inForce(ic) {
			continue
		}
		w, err := p.workload(ctx, workloadKey{ic.Namespace, ic.Spec.Workload}, version)
		if err != nil || !w.Matches(pod) {
			continue // another workload's pod, or the workload is gone
		}
		relays, err := p.relays(ctx, ic)
		if err != nil {
			return Plan{}, err
		}
		all = append(all, candidate{ic, relays})
	}
	order(all)
	var plan Plan
	for _, c := range all {
		if s := c.Status.StandIn; s != nil && s.UID == pod.UID {
			plan.standIns = append(plan.standIns, standIn{s.Container, &rpc.StandIn{Intercept: c.Namespace + "/" + c.Name,
				InterceptUid: string(c.UID), Session: c.Spec.Session, Relays: c.relays}})
		}
		for _, r := range c.Status.Ports {
			if number := resolve.PortIn(pod, r); number != 0 {
				plan.add(number, protocol(r.Protocol), p.speaks(r), c.keepsEstablished(), p.route(c))
			}
		}
		for _, r := range c.Status.ProbePorts {
			plan.add(r.ContainerPort, rpc.Protocol_TCP, p.speaks(r), false, p.idle(c))
		}
	}
	for _, c := range all {
		plan.replace(c, pod)
	}
	plan.finish(pod)
	return plan, nil
}

// route is what the Intercept in force wants of each of its ports.
func (p *Planner) route(c candidate) *rpc.Route {
	r := &rpc.Route{Intercept: c.Namespace + "/" + c.Name, InterceptUid: string(c.UID), User: c.Spec.User,
		Session: c.Spec.Session, Relays: c.relays, NoFallback: c.Spec.NoFallback}
	if c.Status.Mode == v1alpha1.ModeMirror {
		r.Mode = rpc.Route_COPY
		if c.Status.Match != nil {
			r.Match, r.Question = rpc.MatchOf(c.Status.Match.Conditions()), question(c.Intercept)
		}
		return r
	}
	if c.Status.Mode != v1alpha1.ModePersonal {
		return r
	}
	r.Match, r.Question = rpc.MatchOf(c.Status.Match.Conditions()), question(c.Intercept)
	r.NoticeSeconds = uint32(p.answers.Notice.Seconds())
	if p.answers.ResponseHeader {
		r.Mark = c.Name
	}
	return r
}

// question is what the Intercept's session asks the agents.
func question(ic *v1alpha1.Intercept) string {
	if q := ic.Annotations[v1alpha1.ShowValuesKey]; len(q) <= v1alpha1.MaxQuestion {
		return q
	}
	return ""
}

// workloadKey is a reference to a workload in a namespace.
type workloadKey struct {
	namespace string
	ref       v1alpha1.WorkloadReference
}

// workload reads a workload. It caches workloads of the kinds whose changes lead to
// a call of Changed. It does not cache others: a Service may select other pods
// without a call of Changed.
func (p *Planner) workload(ctx context.Context, n workloadKey, version uint64) (*resolve.Workload, error) {
	p.mu.Lock()
	w, ok := p.workloads[n]
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
		p.workloads[n] = w
	}
	return w, nil
}

// relays returns the addresses of the replicas that hold the session's carriers. It
// returns none if the Session has ended or belongs to another user than the Intercept.
func (p *Planner) relays(ctx context.Context, ic *v1alpha1.Intercept) ([]string, error) {
	var s v1alpha1.Session
	if err := p.reader.Get(ctx, client.ObjectKey{Namespace: p.namespace, Name: ic.Spec.Session}, &s); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if !s.Serves(ic.Spec.User) {
		return nil, nil
	}
	var out []string
	for _, r := range s.Status.Relays {
		out = append(out, r.Address)
	}
	slices.Sort(out)
	return out, nil
}

// Accepted reports whether the controller has resolved the present spec of the
// Intercept, and the Intercept is not being deleted.
func Accepted(ic *v1alpha1.Intercept) bool {
	c := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionResolved)
	return inForce(ic) && c.ObservedGeneration == ic.Generation
}

// inForce reports whether agents capture the ports in the Intercept's status. After
// a change of the spec, these ports belong to the old spec until the controller has
// resolved the new one.
func inForce(ic *v1alpha1.Intercept) bool {
	return ic.DeletionTimestamp == nil && meta.IsStatusConditionTrue(ic.Status.Conditions, v1alpha1.ConditionResolved)
}

// speaks says what a port speaks.
func (p *Planner) speaks(r v1alpha1.ResolvedPort) rpc.Speaks {
	s := resolve.AppProtocol(r.AppProtocol)
	switch {
	case s != resolve.Undeclared:
	case p.Protocols == config.PortName:
		s = resolve.ByName(r)
	case p.Protocols == config.HTTP, p.Protocols == config.HTTP2:
		s = resolve.HTTP
	}
	return map[resolve.Speaks]rpc.Speaks{resolve.HTTP: rpc.Speaks_SPEAKS_HTTP, resolve.HTTPS: rpc.Speaks_SPEAKS_HTTPS, resolve.Other: rpc.Speaks_SPEAKS_OTHER}[s]
}

func protocol(p corev1.Protocol) rpc.Protocol {
	if p == corev1.ProtocolUDP {
		return rpc.Protocol_UDP
	}
	return rpc.Protocol_TCP
}
