package controller

import (
	"context"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// TestHold holds which label of a pod may be taken off: one that its ReplicaSet
// selects by, and no Service that leads to this pod.
func TestHold(t *testing.T) {
	hash := map[string]string{"hash": "a"}
	for name, c := range map[string]struct {
		selector map[string]string // of one more Service
		want     map[string]string
	}{
		"no other Service":                      {nil, hash},
		"a Service without a selector":          {map[string]string{}, hash},
		"a Service that selects the revision":   {map[string]string{"app": "quote", "hash": "a"}, nil},
		"a Service of another workload by it":   {map[string]string{"app": "cart", "hash": "a"}, hash},
		"a Service of another revision by it":   {map[string]string{"app": "quote", "hash": "b"}, hash},
		"a Service that has nothing to do here": {map[string]string{"app": "cart"}, hash},
	} {
		t.Run(name, func(t *testing.T) {
			w := withReplicaSet(t)
			if c.selector != nil {
				w.must(w.Create(context.Background(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "more"},
					Spec: corev1.ServiceSpec{Selector: c.selector}}))
			}
			held, err := w.ics.hold(context.Background(), w.pod("quote-1"))
			w.must(err)
			if !maps.Equal(held, c.want) {
				t.Errorf("held by %v, want %v", held, c.want)
			}
		})
	}
}

// orphaned makes the world's pod an orphan for alice's intercept.
func (w *world) orphaned() {
	w.t.Helper()
	p := w.pod("quote-1")
	delete(p.Labels, "hash")
	p.Labels[orphan.Label] = "alice"
	p.Annotations = map[string]string{orphan.Annotation: `{"labels":{"hash":"a"},"at":"2026-01-01T00:00:00Z","owner":{"kind":"ReplicaSet","name":"quote-a","uid":"rs"}}`}
	w.must(w.Update(context.Background(), p))
}

// TestJanitorTakesBack: the intercept is there, and there is no replacing any
// more.
func TestJanitorTakesBack(t *testing.T) {
	for name, c := range map[string]struct {
		resolved metav1.ConditionStatus
		mode     v1alpha1.InjectMode
		back     bool
	}{
		"wanted":         {metav1.ConditionTrue, v1alpha1.InjectSidecar, false},
		"not resolved":   {metav1.ConditionFalse, v1alpha1.InjectSidecar, true},
		"ephemeral":      {metav1.ConditionTrue, v1alpha1.InjectEphemeral, true},
		"sidecar failed": {metav1.ConditionTrue, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			ic := intercept("alice", time.Now())
			w := withReplicaSet(t, ic)
			w.orphaned()
			set(ic, v1alpha1.ConditionResolved, c.resolved, "x", "")
			ic.Status.Injection = c.mode
			w.must(w.Status().Update(t.Context(), ic))
			w.must((&Janitor{Intercepts: w.ics}).Tidy(t.Context(), time.Now()))
			if l := w.pod("quote-1").Labels; (l["hash"] == "a") != c.back || (l[orphan.Label] == "") != c.back {
				t.Errorf("labels %v", l)
			}
		})
	}
}

// TestNobodyToTakeBack: the ReplicaSet is gone or going, so the pod goes too,
// when its PodDisruptionBudget lets it. The intercept does not wait for that.
func TestNobodyToTakeBack(t *testing.T) {
	for _, going := range []bool{false, true} {
		allowed := false
		budget := interceptor.Funcs{SubResourceCreate: func(ctx context.Context, c client.Client, sub string, o, s client.Object, opts ...client.SubResourceCreateOption) error {
			if sub == "eviction" && !allowed {
				return apierrors.NewTooManyRequests("Cannot evict pod", 0)
			}
			return c.SubResource(sub).Create(ctx, o, s, opts...)
		}}
		w := withReplicaSet(t, intercept("alice", time.Now()))
		w.ics.Client = interceptor.NewClient(w, budget)
		w.orphaned()
		rs := &appsv1.ReplicaSet{}
		w.must(w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-a"}, rs))
		if going {
			rs.Finalizers = []string{"foregroundDeletion"}
			w.must(w.Update(t.Context(), rs))
		}
		w.must(w.Delete(t.Context(), rs))
		w.reconcile("alice")
		w.must(w.Delete(t.Context(), intercept("alice", time.Now())))
		key := client.ObjectKey{Namespace: "shop", Name: "quote-alice"}
		if _, err := w.ics.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		if err := w.Get(t.Context(), key, &v1alpha1.Intercept{}); !apierrors.IsNotFound(err) {
			t.Errorf("the intercept waits: %v", err)
		}
		j := &Janitor{Intercepts: w.ics}
		w.must(j.Tidy(t.Context(), time.Now()))
		if l := w.pod("quote-1").Labels; l["hash"] != "" {
			t.Errorf("labels %v", l)
		}
		allowed = true
		w.must(j.Tidy(t.Context(), time.Now()))
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
			t.Errorf("the pod stays: %v", err)
		}
	}
}
