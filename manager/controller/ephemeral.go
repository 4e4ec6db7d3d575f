package controller

import (
	"context"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/agents"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/denial"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// EphemeralAgents brings ephemeral agents into pods.
type EphemeralAgents struct {
	// Client writes to the API server.
	Client    client.Client
	Authority *pki.Authority
	// Config is what agents are started with.
	Config func() inject.Config
	// Outcomes counts the pods.
	Outcomes *inject.Metrics
	Log      *slog.Logger

	silences silences
}

// bring brings an agent into a pod if none runs there, or the one that runs has been
// silent for too long. It returns why it cannot, or what keeps the agent that is there.
func (a *EphemeralAgents) bring(ctx context.Context, pod *corev1.Pod, silence time.Duration) *problem.Problem {
	s := inject.Observe(pod)
	if s.Running && s.Next == "" && tooLong(silence, pod) {
		return problem.New(v1alpha1.ReasonAgentsEnded, "pod %s: %d agents were brought into it, which cannot be undone, and the last one does not report; delete the pod to start afresh", pod.Name, inject.MaxAgents)
	}
	if s.Running && s.Next != "" && tooLong(silence, pod) {
		// An earlier traffic-manager may have brought it, so that it knows neither
		// this one's address nor its authority.
		a.Log.Info("agent does not report, attaching another", "pod", pod.Name, "namespace", pod.Namespace)
		s.Running = false
	}
	switch wait := pause(s.Brief); {
	case s.Running && s.Problem != "":
		return problem.New(v1alpha1.ReasonAgentFailed, "pod %s: %s", pod.Name, s.Problem)
	case s.Running:
		return nil // on its way
	case s.Next == "":
		return problem.New(v1alpha1.ReasonAgentsEnded, "pod %s: every agent in it has ended; delete the pod to start afresh. The last one said: %s", pod.Name, s.Problem)
	case silence < wait:
		return problem.New(v1alpha1.ReasonAgentFailed, "pod %s: %s; the next one of %d at most is brought within %s", pod.Name, s.Problem, inject.MaxAgents, wait)
	}
	return a.add(ctx, pod, s.Next)
}

// add adds the agent's ephemeral container to a pod.
func (a *EphemeralAgents) add(ctx context.Context, pod *corev1.Pod, name string) *problem.Problem {
	err := a.addContainer(ctx, pod, name, func(token string) corev1.EphemeralContainer {
		return inject.Ephemeral(pod, a.Config(), name, token)
	})
	switch {
	case err == nil:
		return nil
	case refusedByPodSecurity(err):
		return problem.New(v1alpha1.ReasonPodSecurity,
			"the pod security level of namespace %q refuses an ephemeral container with NET_ADMIN; allow it there with: kubectl label namespace %s --overwrite pod-security.kubernetes.io/enforce=privileged",
			pod.Namespace, pod.Namespace)
	case denial.Is(err):
		return problem.New(v1alpha1.ReasonForbidden, "pod %s: %s refuses the agent: %v", pod.Name, denial.By(err.Error()), err)
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // the change of the pod is reconciled again
	}
	return problem.New(v1alpha1.ReasonAttaching, "pod %s: %v", pod.Name, err)
}

func refusedByPodSecurity(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "PodSecurity")
}

// addContainer adds an ephemeral container to a pod, with a token for its enrollment.
func (a *EphemeralAgents) addContainer(ctx context.Context, pod *corev1.Pod, name string, with func(token string) corev1.EphemeralContainer) error {
	who := pki.Pod{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	token := a.Authority.Token(who, time.Now().Add(agents.TokenLife))
	fresh := pod.DeepCopy()
	fresh.Spec.EphemeralContainers = append(fresh.Spec.EphemeralContainers, with(token))
	err := a.Client.SubResource("ephemeralcontainers").Patch(ctx, fresh, client.StrategicMergeFrom(pod, client.MergeFromWithOptimisticLock{}))
	switch {
	case err == nil:
		a.Outcomes.Count(inject.ByPatch, inject.Injected)
		a.Log.Info("agent attached", "pod", who, "container", name)
	case apierrors.IsForbidden(err), denial.Is(err):
		a.Outcomes.Count(inject.ByPatch, inject.Refused)
	}
	return err
}

// bringStandIn brings an agent beside a container of a pod if none runs there. It returns
// why it cannot, in one sentence.
func (a *EphemeralAgents) bringStandIn(ctx context.Context, pod *corev1.Pod, container string) *problem.Problem {
	s := inject.ObserveStandIn(pod, container)
	switch {
	case s.Running && s.Problem != "":
		return problem.New(v1alpha1.ReasonAgentFailed, "pod %s: %s", pod.Name, s.Problem)
	case s.Running:
		return nil
	case s.Next == "":
		return problem.New(v1alpha1.ReasonAgentsEnded, "pod %s: %d agents were brought into it, which cannot be undone, and all have ended; delete the pod to start afresh. The last one said: %s", pod.Name, inject.MaxStandIns, s.Problem)
	}
	meshed := a.meshed(ctx, pod)
	add := func(asUser *int64) error {
		return a.addContainer(ctx, pod, s.Next, func(token string) corev1.EphemeralContainer {
			return inject.StandIn(pod, a.Config(), s.Next, token, container, asUser, meshed)
		})
	}
	err := add(nil)
	if user := inject.UserOf(pod, container); err != nil && refusedByPodSecurity(err) && user != nil {
		err = add(user)
	}
	switch {
	case err == nil, apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil // the change of the pod is reconciled again
	case refusedByPodSecurity(err):
		return problem.New(v1alpha1.ReasonPodSecurity, "the pod security level of namespace %q refuses an agent that may read the processes of container %s; "+
			"set runAsUser in the securityContext of the container, whose user the agent can then be, or allow it there with: kubectl label namespace %s --overwrite pod-security.kubernetes.io/enforce=privileged",
			pod.Namespace, container, pod.Namespace)
	case denial.Is(err):
		return problem.New(v1alpha1.ReasonForbidden, "pod %s: %s refuses the agent: %v", pod.Name, denial.By(err.Error()), err)
	}
	return problem.New(v1alpha1.ReasonAgentFailed, "pod %s: %v", pod.Name, err)
}

// meshed says that a service mesh has put its proxy into a pod, as the pod or its namespace
// says.
func (a *EphemeralAgents) meshed(ctx context.Context, pod *corev1.Pod) bool {
	var ns corev1.Namespace
	if err := a.Client.Get(ctx, client.ObjectKey{Name: pod.Namespace}, &ns); err != nil {
		a.Log.Warn("it is not known whether a pod is in a service mesh", "namespace", pod.Namespace, "pod", pod.Name, "error", err)
	}
	return mesh.Of(&pod.ObjectMeta, &ns.ObjectMeta) != mesh.None
}

// bringEarly brings an agent into a pod that is being started, so that it is there
// before callers are. Once the pod is initialized only ephemeral containers are left
// to start, so nothing of the pod waits while the agent's image is pulled.
func (a *EphemeralAgents) bringEarly(ctx context.Context, pod *corev1.Pod) {
	initialized := len(pod.Spec.InitContainers) == 0 || podstatus.IsTrue(pod, corev1.PodInitialized)
	if pod.Spec.NodeName == "" || !initialized || pod.Spec.HostNetwork || inject.Entered(pod) {
		return
	}
	if p := a.bring(ctx, pod, 0); p != nil { // the status tells once the pod runs
		a.Log.Debug("no agent in a pod that is being started", "pod", pod.Name, "namespace", pod.Namespace, "error", p.Message)
	}
}

// neverComes says why the agent of a pod that does not report is not waited for; empty
// while it is waited for. A ready pod is, since Services send callers to it. A pod that
// is not ready gets no callers, and its node may never start the agent.
func neverComes(pod *corev1.Pod, silence time.Duration) string {
	agent := inject.Observe(pod)
	switch {
	case podstatus.Ready(pod):
		return ""
	case podstatus.NodeSilent(pod):
		return podstatus.WhySilent(pod)
	case agent.Running && agent.Problem == "" && !started(pod) && silence > patience:
		return "it is not ready, and its node " + pod.Spec.NodeName + " does not start the agent in it"
	}
	return ""
}

// pause is how long the next agent waits where several have ended soon after they
// began: a pod can be given only so many.
func pause(brief int) time.Duration {
	if brief < 2 {
		return 0
	}
	return min(2*time.Second<<brief, time.Minute)
}
