package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/agents"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
)

// attached counts the pods of a workload by how far their agents are.
type attached struct {
	pods    int // that run
	serving int // whose agent reports on this intercept
	active  int // whose redirect is proven
	problem *problem

	nobody   string        // why no pod runs
	lost     []string      // sentences about pods that are not waited for
	unready  []*corev1.Pod // running pods that are not ready, or not for long
	unserved string        // sentences about lost and unready ones
}

// attach sees to an agent in every running pod, and counts.
func (r *Intercepts) attach(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload, all []corev1.Pod) (attached, time.Duration, error) {
	var a attached
	pods := slices.DeleteFunc(slices.Clone(all), func(p corev1.Pod) bool { return !concerns(ic, &p) })
	if len(pods) == 0 && len(all) > 0 {
		a.problem = &problem{v1alpha1.ReasonAttaching, fmt.Sprintf("no pod of %s has port %s; the intercept begins with the first that has", w, ic.Status.Port)}
		return a, 0, nil
	}
	before := ic.Status.Injection
	choose(ic, pods)
	hopeless := r.hopeless(ic)
	again := time.Duration(0)
	var bare []*corev1.Pod
	var mute *problem
	for i := range pods {
		pod := &pods[i]
		if why := resolve.Forbidden(pod.Annotations); why != "" {
			a.problem = &problem{v1alpha1.ReasonInjectionDisabled, "pod " + pod.Name + " cannot be intercepted: " + why}
			continue
		}
		if !runs(pod) {
			if hopeless == nil {
				r.early(ctx, ic, pod)
			}
			continue // its change to Running brings us back
		}
		if pod.Spec.HostNetwork {
			a.problem = &problem{v1alpha1.ReasonHostNetwork, "pod " + pod.Name + " uses the node's network and cannot be intercepted"}
			continue
		}
		a.pods++
		done := covered(ic, pod)
		if !done && (ic.Status.Injection == v1alpha1.InjectSidecar || hopeless != nil) {
			bare = append(bare, pod)
			continue
		}
		if (done || agentRuns(ic, pod)) && r.reports(ic, pod, &a) {
			left := falters(pod)
			if left > 0 && again == 0 {
				again = left
			}
			if left > 0 || !ready(pod) {
				a.unready = append(a.unready, pod)
			}
			continue
		}
		again = 5 * time.Second
		if why := r.lost(pod); why != "" {
			a.pods--
			a.lost = append(a.lost, "pod "+pod.Name+" is left out: "+why+"; "+more(pod))
			if !done && !inject.Entered(pod) {
				r.bring(ctx, pod) // for when the node is back
			}
			continue
		}
		if done { // its sidecar is on its way; what keeps it shows below
			if ready(pod) && r.unheard(pod) > sidecarPatience {
				mute = &problem{v1alpha1.ReasonAgentFailed, "pod " + pod.Name + ": its sidecar does not report; if another installation of the traffic-manager made it, delete the pod"}
			}
			continue
		}
		if aside(ic, pod) {
			a.problem = &problem{v1alpha1.ReasonNotSupported, "pod " + pod.Name + " has a sidecar, beside which an ephemeral agent can do nothing: use --inject auto or sidecar"}
			continue
		}
		switch p := r.bring(ctx, pod); {
		case p == nil:
		case ic.Spec.Inject == v1alpha1.InjectEphemeral || p.reason != v1alpha1.ReasonPodSecurity && p.reason != v1alpha1.ReasonForbidden:
			a.problem = p
		default:
			obstacle, err := r.sidecarObstacle(ctx, ic, w, pods)
			if err != nil {
				return a, 0, err
			}
			if obstacle != nil {
				a.problem = &problem{p.reason, p.message + "; and " + obstacle.message}
				continue
			}
			ic.Status.Injection, ic.Status.InjectionReason = v1alpha1.InjectSidecar, why(p)
			bare = append(bare, pod)
		}
	}
	if hopeless != nil {
		a.problem = hopeless
		_, err := r.lead(ctx, w, pods) // Istio must not lead callers to agents that are not there
		return a, again, err
	}
	if a.problem != nil {
		return a, again, nil
	}
	if a.problem = mute; ic.Status.Injection != v1alpha1.InjectSidecar {
		return a, again, nil
	}
	p, err := r.sidecars(ctx, ic, w, pods, bare, before)
	if p != nil {
		a.problem, again = p, time.Second
	}
	r.hopeless(ic) // as of now
	return a, again, err
}

// why is a refusal of an ephemeral container in half a sentence.
func why(p *problem) string {
	if p.reason == v1alpha1.ReasonPodSecurity {
		return "the pod security level of the namespace refuses an ephemeral container"
	}
	return whoDenied(p.message) + " refuses an ephemeral container"
}

// concerns says that a pod has one of the intercept's ports. Where it has none, as
// one of an older revision or another that a Service selects, an agent would have
// nothing to do.
func concerns(ic *v1alpha1.Intercept, p *corev1.Pod) bool {
	return slices.ContainsFunc(ic.Status.Ports, func(r v1alpha1.ResolvedPort) bool { return resolve.PortIn(p, r) != 0 })
}

// sidecars sees to sidecars where pods have none; it says what is to be waited
// for, or wrong.
func (r *Intercepts) sidecars(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload, pods []corev1.Pod, bare []*corev1.Pod, before v1alpha1.InjectMode) (*problem, error) {
	if p, err := r.lead(ctx, w, pods); p != nil || err != nil {
		return p, err
	}
	if len(bare) > 0 {
		p, err := r.sidecarObstacle(ctx, ic, w, pods)
		if p != nil || err != nil {
			return p, err
		}
	}
	if before != v1alpha1.InjectSidecar {
		if len(bare) == 0 {
			return nil, nil
		}
		return wait("replacing pods by ones with a sidecar"), nil // once the webhook can know
	}
	return r.replace(ctx, ic, w, pods, bare), nil
}

// agentRuns says that an ephemeral agent runs in the pod or is being started. Where
// none is, nobody takes back what the last one reported, if no replica was
// there to see it end: that is forgotten, but for what a sidecar reports.
func agentRuns(ic *v1alpha1.Intercept, pod *corev1.Pod) bool {
	if inject.Observe(pod).Running {
		return true
	}
	if sidecar.Of(pod) == nil {
		ic.Status.Pods = slices.DeleteFunc(ic.Status.Pods, func(s v1alpha1.PodStatus) bool { return s.Name == pod.Name })
	}
	return false
}

// reports counts a pod whose agent reports on the intercept; false when none
// does.
func (r *Intercepts) reports(ic *v1alpha1.Intercept, pod *corev1.Pod, a *attached) bool {
	k := slices.IndexFunc(ic.Status.Pods, func(s v1alpha1.PodStatus) bool { return speaksOf(&s, pod) })
	if k < 0 {
		return false
	}
	r.heard(pod)
	a.serving++
	switch s := &ic.Status.Pods[k]; {
	case s.State == v1alpha1.PodError:
		a.problem = &problem{v1alpha1.ReasonAgentFailed, "pod " + pod.Name + ": " + s.Message}
	case proven(ic, pod, s):
		a.active++
	}
	return true
}

// speaksOf says that a status is of this very pod, and not of one that had its
// name.
func speaksOf(s *v1alpha1.PodStatus, pod *corev1.Pod) bool {
	return s.Name == pod.Name && (s.UID == "" || s.UID == pod.UID)
}

// proven says that an agent has shown of every port which the intercept has in
// the pod that callers come to it. What agents say of other ports, from before
// the intercept was changed, proves nothing.
func proven(ic *v1alpha1.Intercept, pod *corev1.Pod, s *v1alpha1.PodStatus) bool {
	return !slices.ContainsFunc(ic.Status.Ports, func(r v1alpha1.ResolvedPort) bool {
		n := resolve.PortIn(pod, r)
		return n != 0 && !slices.ContainsFunc(s.Ports, func(p v1alpha1.PodPort) bool {
			return p.Port == n && p.Protocol == r.Protocol && p.State == v1alpha1.PodActive
		})
	})
}

// bring sees to an agent in one pod; it returns why that cannot be.
func (r *Intercepts) bring(ctx context.Context, pod *corev1.Pod) *problem {
	s := inject.Observe(pod)
	if s.Running && s.Next == "" && r.silent(pod) {
		return &problem{v1alpha1.ReasonAgentsEnded, fmt.Sprintf("pod %s: %d agents were brought into it, which cannot be undone, and the last one does not report; delete the pod to start afresh", pod.Name, inject.MaxAgents)}
	}
	if s.Running && s.Next != "" && r.silent(pod) {
		// It may have been left behind by a traffic-manager that is gone, and
		// know neither this one's address nor its authority.
		r.Log.Info("agent does not report, attaching another", "pod", pod.Name, "namespace", pod.Namespace)
		s.Running = false
	}
	if s.Running {
		if s.Problem != "" {
			return &problem{v1alpha1.ReasonAgentFailed, "pod " + pod.Name + ": " + s.Problem}
		}
		return nil // on its way
	}
	if s.Next == "" {
		return &problem{v1alpha1.ReasonAgentsEnded, fmt.Sprintf("pod %s: every agent in it has ended; delete the pod to start afresh. The last one said: %s", pod.Name, s.Problem)}
	}
	if wait := pause(s.Brief); r.unheard(pod) < wait {
		return &problem{v1alpha1.ReasonAgentFailed, fmt.Sprintf("pod %s: %s; the next one of %d at most is brought within %s", pod.Name, s.Problem, inject.MaxAgents, wait)}
	}
	who := pki.Pod{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	token := r.Authority.Token(who, time.Now().Add(agents.TokenLife))
	fresh := pod.DeepCopy()
	fresh.Spec.EphemeralContainers = append(fresh.Spec.EphemeralContainers, inject.Ephemeral(pod, r.Agent(), s.Next, token))
	err := r.Client.SubResource("ephemeralcontainers").Patch(ctx, fresh, client.StrategicMergeFrom(pod, client.MergeFromWithOptimisticLock{}))
	switch {
	case err == nil:
		r.Log.Info("agent attached", "pod", who, "container", s.Next)
		return nil
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "PodSecurity"):
		return &problem{v1alpha1.ReasonPodSecurity, fmt.Sprintf(
			"the pod security level of namespace %q refuses an ephemeral container with NET_ADMIN; allow it there with: kubectl label namespace %s --overwrite pod-security.kubernetes.io/enforce=privileged",
			pod.Namespace, pod.Namespace)}
	case denied(err):
		return &problem{v1alpha1.ReasonForbidden, fmt.Sprintf("pod %s: %s refuses the agent: %v", pod.Name, whoDenied(err.Error()), err)}
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // the pod has changed: its event brings us back
	}
	return &problem{v1alpha1.ReasonAttaching, fmt.Sprintf("pod %s: %v", pod.Name, err)}
}

// pause is how long it takes from one agent to the next where several have ended
// soon after they began: a pod can be given only so many.
func pause(brief int) time.Duration {
	if brief < 2 {
		return 0
	}
	return min(2*time.Second<<brief, time.Minute)
}

const (
	// patience is how long a running agent may say nothing before it is given up.
	patience = 15 * time.Second
	// sidecarPatience is how long a sidecar may, in place of which nobody else
	// can be brought.
	sidecarPatience = time.Minute
)

// silent says that this replica has waited in vain for the pod's agent, twice as
// long for each agent that runs in the pod: another one cannot be taken out again.
// It is asked only about pods whose agents do not report.
func (r *Intercepts) silent(pod *corev1.Pod) bool {
	return r.unheard(pod) > patience<<max(0, inject.Living(pod)-1) && started(pod)
}

// unheard is how long this replica has waited for the pod's agent. It is asked
// again and again, and only while the agent does not report.
func (r *Intercepts) unheard(pod *corev1.Pod) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for uid, w := range r.waiting {
		if now.Sub(w.asked) > patience {
			delete(r.waiting, uid) // it reported, or is gone
		}
	}
	agents := len(pod.Spec.EphemeralContainers)
	w, ok := r.waiting[pod.UID]
	if !ok || w.agents != agents {
		w = silence{since: now, agents: agents}
	}
	w.asked = now
	if r.waiting == nil {
		r.waiting = map[types.UID]silence{}
	}
	r.waiting[pod.UID] = w
	return now.Sub(w.since)
}

// heard ends the wait for the pod's agent: for the next intercept it begins anew.
func (r *Intercepts) heard(pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, pod.UID)
}

// silence is how long a pod's agent has been waited for.
type silence struct {
	since, asked time.Time
	agents       int
}

// started says that the pod's newest ephemeral container runs: one that still
// pulls its image is not silent.
func started(pod *corev1.Pod) bool {
	n := len(pod.Spec.EphemeralContainers)
	return n > 0 && slices.ContainsFunc(pod.Status.EphemeralContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == pod.Spec.EphemeralContainers[n-1].Name && c.State.Running != nil
	})
}

// prune forgets pods that are gone: their agents cannot report any more.
func prune(ic *v1alpha1.Intercept, pods []corev1.Pod) {
	ic.Status.Pods = slices.DeleteFunc(ic.Status.Pods, func(s v1alpha1.PodStatus) bool {
		return !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return speaksOf(&s, &p) && p.DeletionTimestamp == nil })
	})
}
