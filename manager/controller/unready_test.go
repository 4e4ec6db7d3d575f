package controller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
)

// What agents have proven holds for the ports that it was proven of, whatever
// else of the intercept is changed, and for no others.
func TestProofIsBoundToItsPort(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
	w.reports(w.reconcile("alice"), agentSays("quote-1", v1alpha1.PodActive))
	is := func(what string, want v1alpha1.InterceptState) {
		t.Helper()
		if ic := w.reconcile("alice"); ic.Status.State != want {
			t.Errorf("%s: %s, %s", what, ic.Status.State, ic.Status.Message)
		}
	}
	is("proven", v1alpha1.StateActive)
	change := func(change func(*v1alpha1.InterceptSpec)) {
		t.Helper()
		ic := w.reconcile("alice")
		change(&ic.Spec)
		ic.Generation++
		w.Must(w.Update(t.Context(), ic))
	}
	change(func(s *v1alpha1.InterceptSpec) { s.Ports[0].LocalPort = 9001 })
	is("another local port", v1alpha1.StateActive)
	change(func(s *v1alpha1.InterceptSpec) { s.Service = "quote" })
	is("the Service named", v1alpha1.StateActive)
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "quote"}, Ports: []corev1.ServicePort{{Name: "http", Port: 81}}}}
	w.Must(w.Create(t.Context(), service))
	change(func(s *v1alpha1.InterceptSpec) { s.Service = "other" })
	is("another port of the pod", v1alpha1.StateWaiting)
	s := agentSays("quote-1", v1alpha1.PodActive)
	s.Ports[0].Port = 81
	w.reports(w.reconcile("alice"), s)
	is("that is proven too", v1alpha1.StateActive)
	s.UID = "the pod before"
	w.reports(w.reconcile("alice"), s)
	is("of a pod that had the name", v1alpha1.StateWaiting)
}

// The status names pods to which no Service sends callers, and does not wait for agents
// that never come.
func TestUnreadyPods(t *testing.T) {
	yes := func(kind corev1.PodConditionType) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue}
	}
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	no := false
	for name, c := range map[string]struct {
		pod  func(*corev1.Pod)
		want string
	}{
		"probe": {func(p *corev1.Pod) {
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", State: running}}
		}, "container quote does not pass its readiness probe"},
		"startup": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", State: running, Started: &no}}
		}, "container quote does not pass its startup probe"},
		"loop": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", State: waiting("CrashLoopBackOff", "back-off"),
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2}}}}
		}, "container quote ends again and again: exit code 2"},
		"loop, between attempts": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", RestartCount: 1,
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Message: "no port"}}}}
		}, "container quote ends again and again: exit code 2: no port"},
		"image": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", Image: "q:1", State: waiting("ImagePullBackOff", "Back-off: ErrImagePull: no such host")}}
		}, "container quote does not start: the image q:1 cannot be pulled: no such host"},
		"gate": {func(p *corev1.Pod) {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/lb"}}
			p.Status.Conditions = []corev1.PodCondition{yes(corev1.ContainersReady)}
		}, "its readiness gate example.com/lb is not true"},
		"node": {func(p *corev1.Pod) {
			p.Spec.NodeName = "n"
			p.Status.Conditions = []corev1.PodCondition{yes(corev1.ContainersReady)}
		}, "its node n does not answer"},
	} {
		w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
		pod := w.Pod("quote-1")
		c.pod(pod)
		status := pod.Status
		w.Must(w.Update(t.Context(), pod))
		pod.Status = status
		w.Must(w.Status().Update(t.Context(), pod))
		w.reports(w.reconcile("alice"), agentSays("quote-1", v1alpha1.PodActive))
		ic := w.reconcile("alice")
		next := "kubectl describe pod quote-1 -n shop says more"
		if strings.Contains(c.want, "ends again and again") {
			next = "kubectl logs quote-1 -c quote -n shop --previous says more"
		}
		want := "pod quote-1 is not ready, so Services send it nothing: " + c.want + "; " + next
		if got := condition(ic, v1alpha1.ConditionPodsReady); got.Status != metav1.ConditionFalse || got.Reason != v1alpha1.ReasonPodNotReady || got.Message != want {
			t.Errorf("%s: %+v", name, got)
		}
		if ic.Status.State != v1alpha1.StateActive || ic.Status.Message != want {
			t.Errorf("%s: %s: %s", name, ic.Status.State, ic.Status.Message)
		}
	}
}

// TestFalters: a pod that is ready for a moment between two crashes is not taken
// for a ready one; one that runs on is, without another event.
func TestFalters(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
	is := func(what string, started time.Time, want metav1.ConditionStatus) {
		t.Helper()
		pod := w.Pod("quote-1")
		pod.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "quote", Ready: true, RestartCount: 1,
			State:                corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2}}}}
		w.Must(w.Status().Update(t.Context(), pod))
		w.reports(w.reconcile("alice"), agentSays("quote-1", v1alpha1.PodActive))
		const why = "pod quote-1 does not stay ready, so Services send it nothing most of the time: container quote ends again and again: exit code 2; kubectl logs quote-1 -c quote -n shop --previous says more"
		got := condition(w.reconcile("alice"), v1alpha1.ConditionPodsReady)
		if got.Status != want || (got.Message == why) != (want == metav1.ConditionFalse) {
			t.Errorf("%s: %+v", what, got)
		}
		if left := podstatus.SteadyIn(pod); (left > 0) != (want == metav1.ConditionFalse) || left > podstatus.Steady {
			t.Errorf("%s: to be looked at in %s", what, left)
		}
	}
	is("just started", time.Now(), metav1.ConditionFalse)
	is("runs on", time.Now().Add(-time.Hour), metav1.ConditionTrue)
	is("the node's clock is ahead", time.Now().Add(time.Hour), metav1.ConditionTrue)
}

// TestLost: a pod on a node that does not answer is left out at once, one in
// which no agent is started after a while; the others serve.
func TestLost(t *testing.T) {
	for _, answers := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
			dead := w.Pod("quote-1").DeepCopy()
			dead.ObjectMeta = metav1.ObjectMeta{Namespace: "shop", Name: "quote-2", UID: "p2", Labels: dead.Labels}
			dead.Spec.NodeName = "n"
			if !answers {
				dead.Status.Conditions = []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
			}
			status := dead.Status
			w.Must(w.Create(t.Context(), dead))
			dead.Status = status
			w.Must(w.Status().Update(t.Context(), dead))
			w.reports(w.reconcile("alice"), agentSays("quote-1", v1alpha1.PodActive))
			if answers {
				if ic := w.reconcile("alice"); ic.Status.State != v1alpha1.StateWaiting {
					t.Errorf("it is not waited for: %s", ic.Status.State)
				}
				time.Sleep(patience / 2)
				w.reconcile("alice")
				time.Sleep(patience)
			}
			ic := w.reconcile("alice")
			if ic.Status.State != v1alpha1.StateActive || !strings.Contains(ic.Status.Message, "pod quote-2 is left out: ") {
				t.Errorf("%s: %s", ic.Status.State, ic.Status.Message)
			}
			if n := len(w.Pod("quote-2").Spec.EphemeralContainers); n != 1 {
				t.Errorf("it is given %d agents", n)
			}
		})
	}
}

// TestLostIsReplacedFirst: a pod that gets no callers is replaced before one that serves,
// and is not waited for once it has a sidecar.
func TestLostIsReplacedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ic := intercept("alice", time.Now())
		ic.Spec.Inject = v1alpha1.InjectSidecar
		w := withReplicaSet(t, ic)
		dead := func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.2", Conditions: []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}}
		}
		w.Made("quote-2", func(p *corev1.Pod) {
			p.Annotations, p.CreationTimestamp = nil, metav1.Time{}
			p.Spec.Containers = p.Spec.Containers[:1]
			p.Spec.Containers[0].Ports[0].Name = "http"
			dead(p)
		})
		w.step() // the webhook is to know first
		w.step()
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-2"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
			t.Errorf("the dead pod is still there: %v", err)
		}
		if l := w.Pod("quote-1").Labels; l["hash"] != "a" {
			t.Errorf("the pod that serves was orphaned first: %v", l)
		}
		w.Made("quote-3", dead)
		w.step()
		if l := w.Pod("quote-1").Labels; l["hash"] == "a" {
			t.Error("a dead pod with a sidecar is waited for")
		}
	})
}

// TestNobody: why there is nothing to intercept.
func TestNobody(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, c := range map[string]struct {
		status   corev1.PodStatus
		none     bool
		replicas int32
		want     string
	}{
		"scaled to zero": {none: true, want: "deployment/quote is scaled to 0 pods; the intercept begins with the first pod that runs: kubectl scale deployment/quote --replicas=1 -n shop starts one"},
		"none yet":       {none: true, replicas: 1, want: "deployment/quote has no pod yet; the intercept begins with the first pod that runs"},
		"init": {status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "early", State: running}}},
			want: "pod quote-1 is not running yet: init container early has not ended yet; the intercept begins with the first pod that runs"},
		"no node": {status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/2 nodes"}}},
			want: "pod quote-1 cannot be scheduled: 0/2 nodes; the intercept begins with the first pod that runs"},
		"starting": {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "quote", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}}},
			want: "pod quote-1 is not running yet: container quote is being started; the intercept begins with the first pod that runs"},
	} {
		w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
		if c.none {
			w.Must(w.Delete(t.Context(), w.Pod("quote-1")))
			w.Deployment(func(d *appsv1.Deployment) { d.Spec.Replicas = &c.replicas })
		} else {
			pod := w.Pod("quote-1")
			pod.Status = c.status
			pod.Status.Phase = corev1.PodPending
			w.Must(w.Status().Update(t.Context(), pod))
		}
		ic := w.reconcile("alice")
		for _, kind := range []string{v1alpha1.ConditionAgentsReady, v1alpha1.ConditionPodsReady} {
			if got := condition(ic, kind); got.Reason != v1alpha1.ReasonNoPods || got.Message != c.want {
				t.Errorf("%s: %s is %s: %s", name, kind, got.Reason, got.Message)
			}
		}
	}
}

// TestEarly: the agent comes with the pod, not after it: as soon as there is
// nothing of the pod that could wait for it.
func TestEarly(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   int
	}{
		"scheduled": {func(*corev1.Pod) {}, 1},
		"no node":   {func(p *corev1.Pod) { p.Spec.NodeName = "" }, 0},
		"init runs": {func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "early"}} }, 0},
		"init is over": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "early"}}
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}}
		}, 1},
	} {
		w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
		pod := w.Pod("quote-1")
		pod.Spec.NodeName = "n"
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
		c.change(pod)
		status := pod.Status
		w.Must(w.Update(t.Context(), pod))
		pod.Status = status
		w.Must(w.Status().Update(t.Context(), pod))
		for range 2 {
			w.reconcile("alice")
		}
		if n := len(w.Pod("quote-1").Spec.EphemeralContainers); n != c.want {
			t.Errorf("%s: %d agents, want %d", name, n, c.want)
		}
	}
}

// TestNobodyByKind: only what can be scaled is told to be.
func TestNobodyByKind(t *testing.T) {
	of := func(kind string, replicas int32, ended bool) *resolve.Workload {
		return &resolve.Workload{Ref: v1alpha1.WorkloadReference{Kind: kind, Name: "quote"}, Namespace: "shop", Replicas: replicas, Ended: ended}
	}
	const then = "the intercept begins with the first pod that runs"
	for want, w := range map[string]*resolve.Workload{
		"no node wants a pod of daemonset/quote; " + then: of("DaemonSet", 0, false),
		"job/quote has ended and makes no more pods":      of("Job", 1, true),
		"job/quote has no pod yet; " + then:               of("Job", 0, false),
		"service/quote has no pod yet; " + then:           of("Service", -1, false),
		"rollout/quote is scaled to 0 pods; " + then + ": kubectl scale rollout/quote --replicas=1 -n shop starts one": of("Rollout", 0, false),
	} {
		if got := nobody(w, nil); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	job, err := resolve.From(&batchv1.Job{Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}})
	if err != nil || !job.Ended {
		t.Errorf("a completed job has not ended: %v", err)
	}
}

// TestNobodyIsToldApart: pods that run are not said to start, and where a problem
// keeps them out that is said of callers, too.
func TestNobodyIsToldApart(t *testing.T) {
	running := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"}}
	if got := nobody(&resolve.Workload{}, []corev1.Pod{running, {ObjectMeta: metav1.ObjectMeta{Name: "two"}}}); !strings.HasPrefix(got, "pod two is not running yet") {
		t.Error(got)
	}
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
	pod := w.Pod("quote-1")
	pod.Annotations = map[string]string{"kubectl-intercept.dev/inject": "disabled"}
	w.Must(w.Update(t.Context(), pod))
	if got := condition(w.reconcile("alice"), v1alpha1.ConditionPodsReady); got.Status != metav1.ConditionUnknown || got.Reason != v1alpha1.ReasonInjectionDisabled ||
		!strings.Contains(got.Message, "pod quote-1 cannot be intercepted") {
		t.Errorf("%+v", got)
	}
}

// TestLostNotForItsImage: that the agent's image cannot be pulled is said, however
// long it takes and whether or not the pod is ready.
func TestLostNotForItsImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, interceptor.Funcs{}, intercept("alice", time.Now()))
		w.reconcile("alice")
		pod := w.Pod("quote-1")
		pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: pod.Spec.EphemeralContainers[0].Name, Image: "agent:x",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}}}
		w.Must(w.Status().Update(t.Context(), pod))
		for range 5 {
			w.reconcile("alice")
			time.Sleep(patience / 2)
		}
		if got := condition(w.reconcile("alice"), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonAgentFailed || !strings.Contains(got.Message, "cannot be pulled") {
			t.Errorf("%s: %s", got.Reason, got.Message)
		}
	})
}
