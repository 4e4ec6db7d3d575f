package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// decision is what one reconciliation found out about an Intercept. Nothing but its
// method write changes a status.
type decision struct {
	generation int64
	mode       v1alpha1.InterceptMode
	match      *v1alpha1.Match
	resolution
	// refusal is why the Intercept cannot be resolved; nil if it is, and only then the
	// following counts.
	refusal   *problem.Problem
	overlap   string   // which requests both this and other Intercepts match, and where they go; empty for none
	matched   *verdict // whether requests meet the conditions; nil if that is not known
	connected bool     // the laptop is
	injection injection
	progress  progress
	reports   []v1alpha1.PodStatus // of agents that can still report
	standIn   *v1alpha1.StandInStatus
	pausing   pausing // of mode Replace
}

// resolution is what the spec of an Intercept was resolved to.
type resolution struct {
	workload string // for people
	ports    []v1alpha1.ResolvedPort
	// probePorts are others on which agents answer the kubelet's probes.
	probePorts []v1alpha1.ResolvedPort
}

// injection is how the agent enters the pods, and why.
type injection struct {
	mode   v1alpha1.InjectMode
	reason string
}

func (d *decision) write(s *v1alpha1.InterceptStatus) {
	s.ObservedGeneration = d.generation
	s.Workload, s.Ports, s.Port, s.ProbePorts = d.workload, d.ports, portNames(d.ports), d.probePorts
	s.Conditions = slices.Clone(s.Conditions)
	set := func(kind string, is metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: is, Reason: reason, Message: message, ObservedGeneration: d.generation})
	}
	if d.refusal != nil {
		set(v1alpha1.ConditionResolved, metav1.ConditionFalse, d.refusal.Reason, d.refusal.Message)
		set(v1alpha1.ConditionAgentsReady, metav1.ConditionUnknown, v1alpha1.ReasonNotResolved, "")
		set(v1alpha1.ConditionActive, metav1.ConditionFalse, v1alpha1.ReasonNotResolved, d.refusal.Message)
		set(v1alpha1.ConditionPodsReady, metav1.ConditionUnknown, v1alpha1.ReasonNotResolved, "")
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionOverlap)
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionMatched)
		s.State, s.Message = v1alpha1.StateError, d.refusal.Message
		return
	}
	s.Pods = d.reports
	if !equality.Semantic.DeepEqual(s.Match, d.match) {
		s.Matching, s.Pods = nil, uncompared(s.Pods)
	}
	s.Mode, s.Match, s.StandIn = d.mode, d.match, d.standIn
	s.Injection, s.InjectionReason = d.injection.mode, d.injection.reason
	set(v1alpha1.ConditionResolved, metav1.ConditionTrue, v1alpha1.ReasonResolved, resolved(d.workload, s.Port))
	agents, active, pods := d.agentsReady(), d.active(), d.podsReady()
	set(v1alpha1.ConditionAgentsReady, agents.status, agents.reason, agents.message)
	set(v1alpha1.ConditionActive, active.status, active.reason, active.message)
	set(v1alpha1.ConditionPodsReady, pods.status, pods.reason, pods.message)
	if d.overlap != "" {
		set(v1alpha1.ConditionOverlap, metav1.ConditionTrue, v1alpha1.ReasonOlderFirst, d.overlap)
	} else {
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionOverlap)
	}
	if m := d.matched; m != nil {
		set(v1alpha1.ConditionMatched, m.status, m.reason, m.message)
	} else {
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionMatched)
	}
	s.State, s.Message = d.state(agents)
}

// resolved is what an Intercept is about, for people.
func resolved(workload, ports string) string {
	if ports == "" {
		return workload
	}
	return workload + " port " + ports
}

// verdict is a condition without its type.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
}

// agentsReady is whether an agent serves every pod.
func (d *decision) agentsReady() verdict {
	p := &d.progress
	switch {
	case d.mode == v1alpha1.ModeIngest:
		return d.ingests()
	case d.mode == v1alpha1.ModeReplace && len(d.captured()) == 0:
		return d.paused()
	case p.problem != nil:
		return verdict{metav1.ConditionFalse, p.problem.Reason, p.problem.Message}
	case p.pods == 0:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonNoPods, p.nobody}
	case p.serving < p.pods:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonAttaching, fmt.Sprintf("attached to %d of %d pods", p.serving, p.pods)}
	case p.active < p.pods:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonVerifying, fmt.Sprintf("verified in %d of %d pods", p.active, p.pods)}
	case d.mode == v1alpha1.ModeReplace:
		return d.paused()
	}
	return verdict{metav1.ConditionTrue, v1alpha1.ReasonAttached, fmt.Sprintf("attached to %d of %d pods", p.pods, p.pods)}
}

// ingests is whether an agent serves the pod of an Intercept that takes no traffic.
func (d *decision) ingests() verdict {
	switch s := d.standIn; {
	case s == nil || s.Pod == "":
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonNoPods, d.progress.nobody}
	case s.Message != "":
		return verdict{metav1.ConditionFalse, s.Reason, s.Message}
	default:
		return verdict{metav1.ConditionTrue, v1alpha1.ReasonAttached, "attached to pod " + s.Pod}
	}
}

const laptopAway = "the laptop is not connected; the application answers"

// active is whether traffic reaches the laptop.
func (d *decision) active() verdict {
	p := &d.progress
	switch agents := d.agentsReady(); {
	case !d.connected:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonDisconnected, laptopAway}
	case d.mode == v1alpha1.ModeIngest:
		return verdict{agents.status, agents.reason, agents.message}
	case d.mode == v1alpha1.ModeReplace && len(d.ports) == 0:
		return verdict{agents.status, agents.reason, agents.message}
	case p.active > 0:
		return verdict{metav1.ConditionTrue, v1alpha1.ReasonActive, fmt.Sprintf("%d of %d pods send %s to the laptop", p.active, p.pods, d.share())}
	default:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonVerifying, agents.message}
	}
}

// share is what of a pod's traffic the Intercept gets.
func (d *decision) share() string {
	switch plan.TierOf(d.mode, d.match) {
	case plan.Some:
		return "the HTTP requests that match"
	case plan.EveryRequest:
		return "every HTTP request"
	case plan.Copies:
		if d.match != nil {
			return "copies of the HTTP requests that match"
		}
		return "a copy of their traffic"
	}
	return "their traffic"
}

// podsReady is whether Services send callers to the pods.
func (d *decision) podsReady() verdict {
	p := &d.progress
	switch {
	case d.mode == v1alpha1.ModeIngest:
		return d.ingests()
	case d.mode == v1alpha1.ModeReplace && len(d.captured()) == 0:
		return d.paused()
	case p.pods == 0 && p.problem != nil:
		return verdict{metav1.ConditionUnknown, p.problem.Reason, p.problem.Message}
	case p.pods == 0:
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonNoPods, p.nobody}
	case p.unserved != "":
		return verdict{metav1.ConditionFalse, v1alpha1.ReasonPodNotReady, p.unserved}
	}
	return verdict{metav1.ConditionTrue, v1alpha1.ReasonPodsReady, ""}
}

// state is the state in a word, and a message: why it is not Active, or else what keeps
// callers away or the overlap, and that no request meets the conditions. It is not Active
// while a pod is being replaced, which is not among the pods that are counted.
func (d *decision) state(agents verdict) (v1alpha1.InterceptState, string) {
	switch {
	case d.progress.problem != nil && v1alpha1.MeaningOf(d.progress.problem.Reason).Fails(),
		d.pausing.problem != nil && v1alpha1.MeaningOf(d.pausing.problem.Reason).Fails():
		return v1alpha1.StateError, agents.message
	case agents.status != metav1.ConditionTrue:
		return v1alpha1.StateWaiting, agents.message
	case !d.connected:
		return v1alpha1.StateDisconnected, laptopAway
	}
	message := cmp.Or(d.progress.unserved, d.overlap)
	if d.matched == nil || d.matched.message == "" {
		return v1alpha1.StateActive, message
	}
	if message != "" {
		message += "; "
	}
	return v1alpha1.StateActive, message + d.matched.message
}

// portNames are ports for people, "http,9090".
func portNames(ports []v1alpha1.ResolvedPort) string {
	var names []string
	for _, p := range ports {
		names = append(names, resolve.Identifier(p))
	}
	return strings.Join(names, ",")
}
