package controller

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
)

func TestJanitor(t *testing.T) {
	ctx, now := context.Background(), time.Now()
	// A pod that was let go for an intercept that is gone comes back.
	w := withReplicaSet(t)
	p := w.pod("quote-1")
	delete(p.Labels, "hash")
	p.Labels[orphan.Label] = "gone"
	p.Annotations = map[string]string{orphan.Annotation: `{"labels":{"hash":"a"},"at":"2026-01-01T00:00:00Z"}`}
	w.must(w.Update(ctx, p))
	j := &Janitor{Intercepts: w.ics, MaxIdle: time.Minute}
	w.must(j.Tidy(ctx, now))
	if l := w.pod("quote-1").Labels; l["hash"] != "a" || l[orphan.Label] != "" {
		t.Errorf("labels %v", l)
	}
	// A sidecar that nobody needs goes when it was idle for long enough.
	w.successor(func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	})
	w.must(j.Tidy(ctx, now))
	w.must(j.Tidy(ctx, now.Add(30*time.Second)))
	if l := w.pod("quote-2").Labels; l[orphan.Label] != "" {
		t.Errorf("it goes too soon: %v", l)
	}
	clear(w.ics.acted)
	w.must(j.Tidy(ctx, now.Add(time.Minute)))
	if l := w.pod("quote-2").Labels; l[orphan.Label] != orphan.Leaving {
		t.Errorf("it stays: %v", l)
	}
}

// TestJanitorEvictsWhatDoesNotComeUp: the intercept is gone, its sidecar's image
// is not there. Without a successor to wait for the pod goes at once.
func TestJanitorEvictsWhatDoesNotComeUp(t *testing.T) {
	w := withReplicaSet(t)
	w.successor(func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "traffic-agent",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
	})
	w.must((&Janitor{Intercepts: w.ics}).Tidy(context.Background(), time.Now()))
	if err := w.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "quote-2"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod is there: %v", err)
	}
}
