package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// withReplicaSet makes the world's pod ready.
func withReplicaSet(t *testing.T, more ...client.Object) *world {
	t.Helper()
	return newWorld(t, interceptor.Funcs{}, more...).begun()
}

// begun is the world when its pod is ready.
func (w *world) begun() *world {
	w.T.Helper()
	w.Ready()
	return w
}

// betweenSteps is longer than the Replacer waits after a step for caches, and for
// callers to leave a pod.
const betweenSteps = 3 * time.Second

// step reconciles after betweenSteps, in simulated time.
func (w *world) step() *v1alpha1.Intercept {
	w.T.Helper()
	time.Sleep(betweenSteps)
	return w.reconcile("alice")
}

// simulated runs a subtest in simulated time.
func simulated(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// successor is what the ReplicaSet makes.
func (w *world) successor(change func(*corev1.Pod)) {
	w.T.Helper()
	w.Made("quote-2", change)
}

// asked is an Intercept that wants a sidecar, when the old pod is an orphan.
func asked(t *testing.T, more ...client.Object) *world {
	t.Helper()
	ic := intercept("alice", time.Now())
	ic.Spec.Inject = v1alpha1.InjectSidecar
	w := withReplicaSet(t, append(more, ic)...)
	if got := condition(w.step(), v1alpha1.ConditionAgentsReady); got.Reason != v1alpha1.ReasonReplacing {
		t.Fatalf("first %s: %s", got.Reason, got.Message)
	}
	if l := w.Pod("quote-1").Labels; l["hash"] != "a" {
		t.Fatalf("the pod was orphaned before the webhook could know: %v", l)
	}
	w.step()
	if l := w.Pod("quote-1").Labels; l["hash"] != "" || l["app"] != "quote" || l[orphan.Label] != "alice" {
		t.Fatalf("labels of an orphan: %v", l)
	}
	return w
}

func TestReplaceDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := asked(t)
		w.successor(func(p *corev1.Pod) {})
		if got := condition(w.step(), v1alpha1.ConditionAgentsReady); !strings.Contains(got.Message, "waiting for pod quote-2 to be ready") {
			t.Errorf("%s: %s", got.Reason, got.Message)
		}
		fresh := w.Pod("quote-2")
		fresh.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.2", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
		w.Must(w.Status().Update(context.Background(), fresh))
		w.step()
		var left corev1.PodList
		w.Must(w.List(context.Background(), &left, client.InNamespace("shop"), client.MatchingLabels{"app": "quote"}))
		if len(left.Items) != 1 || left.Items[0].Name != "quote-2" {
			t.Errorf("%d pods are left to callers", len(left.Items))
		}
		if got := w.step(); got.Status.Injection != v1alpha1.InjectSidecar || got.Status.InjectionReason != "as asked for" {
			t.Errorf("%s (%s)", got.Status.Injection, got.Status.InjectionReason)
		}
	})
}

// TestReplaceGoesOn: a replacement goes on after a second, without an event.
func TestReplaceGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := asked(t)
		again, err := w.ics.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "quote-alice"}})
		if w.Must(err); again.RequeueAfter != time.Second {
			t.Errorf("again after %s", again.RequeueAfter)
		}
	})
}

// TestReplaceReadopts: what keeps the new pod from being is named, and the old
// one is what it was.
func TestReplaceReadopts(t *testing.T) {
	waiting := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "traffic-agent", Image: "agent:x",
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "because"}}}}
		}
	}
	event := func(message string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "e"}, Reason: "FailedCreate", Message: message,
			InvolvedObject: corev1.ObjectReference{UID: "rs"}, LastTimestamp: metav1.NewTime(time.Now().Add(time.Minute))}
	}
	for _, tt := range []struct {
		name         string
		pod          func(*corev1.Pod)
		event        *corev1.Event
		reason, says string
	}{
		{"quota", nil, event(`pods "quote-2" is forbidden: exceeded quota: small`), v1alpha1.ReasonQuotaExceeded, "exceeded quota: small"},
		{"pod security", nil, event(`pods "quote-2" is forbidden: violates PodSecurity "restricted:latest"`), v1alpha1.ReasonPodSecurity, "pod security forbids it"},
		{"something else", nil, event("admission webhook denied the request"), v1alpha1.ReasonCreateFailed, "admission webhook denied"},
		{"image", waiting("ErrImagePull"), nil, v1alpha1.ReasonImagePull, "container traffic-agent does not start: the image agent:x cannot be pulled: because"},
		{"configuration", waiting("CreateContainerConfigError"), nil, v1alpha1.ReasonPodNotReady, "CreateContainerConfigError: because"},
		{"unschedulable", func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "Insufficient cpu"}}
		}, nil, v1alpha1.ReasonUnschedulable, "Insufficient cpu"},
		{"webhook", shoptest.Missed, nil, v1alpha1.ReasonWebhookUnreachable, "does not reach the webhook"},
	} {
		simulated(t, tt.name, func(t *testing.T) {
			w := asked(t)
			if tt.pod != nil {
				w.successor(tt.pod)
			}
			if tt.event != nil {
				w.Must(w.Create(context.Background(), tt.event))
			}
			ic := w.step()
			got := condition(ic, v1alpha1.ConditionAgentsReady)
			if got.Reason != tt.reason || !strings.Contains(got.Message, tt.says) || ic.Status.State != v1alpha1.StateError {
				t.Errorf("%s, %s: %s", ic.Status.State, got.Reason, got.Message)
			}
			old := w.Pod("quote-1")
			if old.Labels["hash"] != "a" || old.Labels[orphan.Label] != "" || old.Annotations[orphan.Annotation] != "" {
				t.Errorf("the old pod has labels %v, annotations %v", old.Labels, old.Annotations)
			}
			if again := condition(w.step(), v1alpha1.ConditionAgentsReady); again.Reason != tt.reason || w.Pod("quote-1").Labels[orphan.Label] != "" {
				t.Errorf("it is tried again at once: %s", again.Message)
			}
		})
	}
}

// TestReplaceAwaitsNode: a pod without a node is waited for when an autoscaler
// says that one comes, or a grace is configured.
func TestReplaceAwaitsNode(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when simulated time begins
	event := func(reason, message string, at time.Time) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: reason}, Reason: reason, Message: message,
			InvolvedObject: corev1.ObjectReference{UID: "p2"}, LastTimestamp: metav1.NewTime(at)}
	}
	up := event("TriggeredScaleUp", "pod triggered scale-up: [{workers 1->2}]", now)
	for _, tt := range []struct {
		name         string
		events       []*corev1.Event
		grace        time.Duration
		reason, says string
	}{
		{"announced", []*corev1.Event{up}, 0, v1alpha1.ReasonReplacing, "the autoscaler has announced: pod triggered scale-up: [{workers 1->2}]"},
		{"Karpenter", []*corev1.Event{event("Nominated", "Pod should schedule on: nodeclaim/a", now)}, 0, v1alpha1.ReasonReplacing, "Pod should schedule on: nodeclaim/a"},
		{"announced too long ago", []*corev1.Event{event("TriggeredScaleUp", "", now.Add(-time.Hour))}, 0, v1alpha1.ReasonUnschedulable, "Insufficient cpu"},
		{"not announced after all", []*corev1.Event{up, event("NotTriggerScaleUp", "max node group size reached", now.Add(time.Second))}, 0,
			v1alpha1.ReasonUnschedulable, "Insufficient cpu; the autoscaler: max node group size reached"},
		{"after all", []*corev1.Event{up, event("NotTriggerScaleUp", "", now.Add(-time.Second))}, 0, v1alpha1.ReasonReplacing, "announced"},
		{"something else", []*corev1.Event{event("FailedScheduling", "Insufficient cpu", now)}, 0, v1alpha1.ReasonUnschedulable, "Insufficient cpu"},
		{"grace", nil, 2 * time.Minute, v1alpha1.ReasonReplacing, "waiting up to 2m0s for a node for pod quote-2 with the sidecar: Insufficient cpu"},
		{"grace is over", nil, 30 * time.Second, v1alpha1.ReasonUnschedulable, "Insufficient cpu"},
	} {
		simulated(t, tt.name, func(t *testing.T) {
			w := asked(t)
			w.ics.Replacer.SchedulingGrace = tt.grace
			w.successor(func(p *corev1.Pod) {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable",
					Message: "Insufficient cpu", LastTransitionTime: metav1.NewTime(now.Add(-time.Minute))}}
			})
			for _, e := range tt.events {
				w.Must(w.Create(context.Background(), e.DeepCopy()))
			}
			got := condition(w.step(), v1alpha1.ConditionAgentsReady)
			if got.Reason != tt.reason || !strings.Contains(got.Message, tt.says) {
				t.Errorf("%s: %s", got.Reason, got.Message)
			}
			if waits := w.Pod("quote-1").Labels[orphan.Label] != ""; waits != (tt.reason == v1alpha1.ReasonReplacing) {
				t.Errorf("the old pod has labels %v", w.Pod("quote-1").Labels)
			}
		})
	}
}

// TestReplaceEnds: the orphans of an intercept that ends are adopted again.
func TestReplaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := asked(t)
		w.Must(w.Delete(context.Background(), intercept("alice", time.Now())))
		_, err := w.ics.Reconcile(context.Background(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "quote-alice"}})
		w.Must(err)
		if l := w.Pod("quote-1").Labels; l["hash"] != "a" || l[orphan.Label] != "" {
			t.Errorf("labels %v", l)
		}
	})
}

func TestSidecarObstacles(t *testing.T) {
	for _, tt := range []struct {
		name, reason, says string
		change             func(*world)
	}{
		{"no webhook", v1alpha1.ReasonInjectionDisabled, "agentInjector.enabled=false", func(w *world) { w.ics.HasWebhook = false }},
		{"policy", v1alpha1.ReasonInjectionDisabled, "agentInjector.injectPolicy is WhenEnabled", func(w *world) { w.ics.Policy = inject.WhenEnabled }},
		{"bare pod", v1alpha1.ReasonNotSupported, "pod quote-1 belongs to no Deployment", func(w *world) {
			p := w.Pod("quote-1")
			p.OwnerReferences = nil
			w.Must(w.Update(context.Background(), p))
		}},
		{"never restarted", v1alpha1.ReasonNotSupported, "its pods run to an end", func(w *world) {
			w.template(func(s *corev1.PodTemplateSpec) { s.Spec.RestartPolicy = corev1.RestartPolicyOnFailure })
		}},
	} {
		simulated(t, tt.name, func(t *testing.T) {
			ic := intercept("alice", time.Now())
			ic.Spec.Inject = v1alpha1.InjectSidecar
			w := withReplicaSet(t, ic)
			tt.change(w)
			got := condition(w.step(), v1alpha1.ConditionAgentsReady)
			if got.Reason != tt.reason || !strings.Contains(got.Message, tt.says) {
				t.Errorf("%s: %s", got.Reason, got.Message)
			}
			if w.step(); w.Pod("quote-1").Labels[orphan.Label] != "" {
				t.Error("the pod was touched")
			}
		})
	}
}

func (w *world) template(change func(*corev1.PodTemplateSpec)) {
	w.T.Helper()
	w.Deployment(func(d *appsv1.Deployment) { change(&d.Spec.Template) })
}

// TestChoose holds which way auto takes, and what it says about it.
func TestChoose(t *testing.T) {
	with := func(text string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{sidecar.Annotation: text}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "quote", Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}, {Name: sidecar.Container}}}}
	}
	named := v1alpha1.ResolvedPort{Service: "quote", ContainerPort: 8080, ContainerPortName: "http", Protocol: "TCP"}
	numeric := v1alpha1.ResolvedPort{Service: "quote", ContainerPort: 8080, Protocol: "TCP"}
	headless := named
	headless.Headless = true
	for _, tt := range []struct {
		name   string
		inject v1alpha1.InjectMode
		before v1alpha1.InjectMode
		port   v1alpha1.ResolvedPort
		pods   []corev1.Pod
		want   v1alpha1.InjectMode
		why    string
	}{
		{"nothing there", "auto", "", named, []corev1.Pod{{}}, "ephemeral", "the namespace admits it, and no pod has to be replaced"},
		{"no pods", "auto", "", named, nil, "ephemeral", "the namespace admits it, and no pod has to be replaced"},
		{"all there", "auto", "", named, []corev1.Pod{with(shoptest.Layout), with(shoptest.Layout)}, "sidecar", "the pods have one already"},
		{"some there", "auto", "", named, []corev1.Pod{with(shoptest.Layout), {}}, "ephemeral", "the namespace admits it, and no pod has to be replaced"},
		{"there, not for callers by number", "auto", "", numeric, []corev1.Pod{with(shoptest.Layout)}, "sidecar", "the pods have one, which has to learn of the Service"},
		{"there, not for a headless Service", "auto", "", headless, []corev1.Pod{with(shoptest.Layout)}, "sidecar", "the pods have one, which has to learn of the Service"},
		{"turned to before", "auto", "sidecar", named, []corev1.Pod{{}}, "sidecar", "because"},
		{"asked for", "sidecar", "", named, []corev1.Pod{{}}, "sidecar", "as asked for"},
		{"ephemeral", "ephemeral", "sidecar", named, []corev1.Pod{with(shoptest.Layout)}, "ephemeral", "as asked for"},
	} {
		got := choose(tt.inject, injection{tt.before, "because"}, []v1alpha1.ResolvedPort{tt.port}, tt.pods)
		if got.mode != tt.want || got.reason != tt.why {
			t.Errorf("%s: %s (%s)", tt.name, got.mode, got.reason)
		}
	}
}

// What was asked for once does not bind what is asked for next.
func TestAskedForDoesNotLast(t *testing.T) {
	ports := []v1alpha1.ResolvedPort{{ContainerPort: 8080, Protocol: "TCP"}}
	asked, is := v1alpha1.InjectSidecar, injection{}
	for _, mode := range []v1alpha1.InjectMode{v1alpha1.InjectSidecar, v1alpha1.InjectEphemeral} {
		if is = choose(asked, is, ports, []corev1.Pod{{}}); is.mode != mode {
			t.Errorf("%s is %s", asked, is.mode)
		}
		asked = v1alpha1.InjectAuto
	}
}

// TestFallsBack: an ephemeral container is refused, so auto turns to a sidecar.
func TestFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withReplicaSet(t, intercept("alice", time.Now()))
		w.useClient(refusing{w})
		ic := w.step()
		if ic.Status.Injection != v1alpha1.InjectSidecar || ic.Status.InjectionReason != "the pod security level of the namespace refuses an ephemeral container" {
			t.Errorf("%s (%s)", ic.Status.Injection, ic.Status.InjectionReason)
		}
		w.ics.HasWebhook = false
		w2 := withReplicaSet(t, intercept("alice", time.Now()))
		w2.useClient(refusing{w2})
		w2.ics.HasWebhook = false
		got := condition(w2.step(), v1alpha1.ConditionAgentsReady)
		if got.Reason != v1alpha1.ReasonPodSecurity || !strings.Contains(got.Message, "refuses an ephemeral container") || !strings.Contains(got.Message, "agentInjector.enabled=false") {
			t.Errorf("%s: %s", got.Reason, got.Message)
		}
	})
}

// refusing is a cluster whose pod security admits no ephemeral container.
type refusing struct{ *world }

func (r refusing) SubResource(name string) client.SubResourceClient {
	return refusingSub{r.world.SubResource(name)}
}

type refusingSub struct{ client.SubResourceClient }

func (refusingSub) Patch(context.Context, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "quote-1", errors.New(`violates PodSecurity "restricted:latest"`))
}
