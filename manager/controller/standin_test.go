package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

// ingesting is an Intercept of mode Ingest.
func ingesting() *v1alpha1.Intercept {
	ic := intercept("alice", time.Now())
	ic.Spec.Mode, ic.Spec.Ports, ic.Spec.StandIn = v1alpha1.ModeIngest, []v1alpha1.InterceptPort{}, &v1alpha1.StandIn{}
	return ic
}

// started has the kubelet start the last ephemeral container of quote-1.
func (w *world) started() corev1.EphemeralContainer {
	w.T.Helper()
	var pod corev1.Pod
	if err := w.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &pod); err != nil {
		w.T.Fatal(err)
	}
	if len(pod.Spec.EphemeralContainers) == 0 {
		w.T.Fatal("the pod has no agent")
	}
	c := pod.Spec.EphemeralContainers[len(pod.Spec.EphemeralContainers)-1]
	pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: c.Name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	if err := w.Status().Update(context.Background(), &pod); err != nil {
		w.T.Fatal(err)
	}
	return c
}

// Mode Ingest brings one agent, beside a container, and nothing else; the Intercept is
// active once the agent runs.
func TestIngest(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, ingesting())
	got := w.reconcile("alice")
	if s := got.Status.StandIn; s == nil || s.Pod != "quote-1" || s.UID != "p" || s.Container != "quote" || s.Message == "" {
		t.Errorf("the stand-in is %+v", s)
	}
	if got.Status.State != v1alpha1.StateWaiting || !strings.Contains(got.Status.Message, "an agent is being started beside container quote of pod quote-1") {
		t.Errorf("before the agent runs: %s, %s", got.Status.State, got.Status.Message)
	}
	c := w.started()
	if c.Name != "stand-in-agent" || c.TargetContainerName != "quote" || !slices.Equal(c.SecurityContext.Capabilities.Add, inject.StandInCapabilities(false)) {
		t.Errorf("the agent is %+v", c)
	}
	got = w.reconcile("alice")
	if got.Status.State != v1alpha1.StateActive || got.Status.Message != "" || got.Status.StandIn.Message != "" {
		t.Errorf("once it runs: %s, %s, %+v", got.Status.State, got.Status.Message, got.Status.StandIn)
	}
	var pod corev1.Pod
	w.Must(w.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &pod))
	if n := len(pod.Spec.EphemeralContainers); n != 1 {
		t.Errorf("the pod has %d agents", n)
	}
}

// Where root is refused, the agent is the user of the container, if the spec says which.
func TestStandInWithoutPrivileges(t *testing.T) {
	refuse := interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		pod, ok := o.(*corev1.Pod)
		if ok && len(pod.Spec.EphemeralContainers) > 0 {
			if s := pod.Spec.EphemeralContainers[len(pod.Spec.EphemeralContainers)-1].SecurityContext; len(s.Capabilities.Add) > 0 {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, pod.Name, fmt.Errorf(`violates PodSecurity "restricted:latest"`))
			}
		}
		return c.SubResource(sub).Patch(ctx, o, p, opts...)
	}}
	w := newWorld(t, refuse, ingesting())
	got := w.reconcile("alice")
	if m := got.Status.StandIn.Message; !strings.Contains(m, "set runAsUser") {
		t.Errorf("without a user: %s", m)
	}
	var pod corev1.Pod
	w.Must(w.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &pod))
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1000)}
	w.Must(w.Update(context.Background(), &pod))
	w.reconcile("alice")
	if c := w.started(); *c.SecurityContext.RunAsUser != 1000 || !*c.SecurityContext.RunAsNonRoot {
		t.Errorf("the agent runs as %+v", c.SecurityContext)
	}
}

func TestStandInPod(t *testing.T) {
	at := func(name string, age time.Duration, ready bool) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(time.Now().Add(-age))},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"}}
		if ready {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		return p
	}
	pending, ending := at("pending", time.Hour, true), at("ending", time.Hour, true)
	pending.Status.Phase, ending.DeletionTimestamp = corev1.PodPending, &metav1.Time{Time: time.Now()}
	young, old, unready := at("young", time.Minute, true), at("old", time.Hour, true), at("unready", 2*time.Hour, false)
	before := func(name string) *v1alpha1.StandInStatus { return &v1alpha1.StandInStatus{UID: types.UID(name)} }
	for name, c := range map[string]struct {
		before *v1alpha1.StandInStatus
		pods   []corev1.Pod
		want   string
	}{
		"the oldest that is ready":  {nil, []corev1.Pod{pending, ending, unready, young, old}, "old"},
		"the one from before":       {before("young"), []corev1.Pod{old, young}, "young"},
		"the one from before, sick": {before("unready"), []corev1.Pod{old, unready}, "unready"},
		"the one from before ends":  {before("ending"), []corev1.Pod{ending, young, old}, "old"},
		"none is ready":             {nil, []corev1.Pod{unready}, "unready"},
		"none runs":                 {before("pending"), []corev1.Pod{pending, ending}, ""},
	} {
		got := ""
		if p := standInPod(c.before, c.pods); p != nil {
			got = p.Name
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
