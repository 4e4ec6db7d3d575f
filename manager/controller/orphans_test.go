package controller

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
)

// TestNobodyAdopts: the ReplicaSet is gone or going, so the pod goes too,
// when its PodDisruptionBudget lets it. The intercept does not wait for that.
func TestNobodyAdopts(t *testing.T) {
	for _, going := range []bool{false, true} {
		allowed := false
		budget := interceptor.Funcs{SubResourceCreate: func(ctx context.Context, c client.Client, sub string, o, s client.Object, opts ...client.SubResourceCreateOption) error {
			if sub == "eviction" && !allowed {
				return apierrors.NewTooManyRequests("Cannot evict pod", 0)
			}
			return c.SubResource(sub).Create(ctx, o, s, opts...)
		}}
		w := withReplicaSet(t, intercept("alice", time.Now()))
		w.useClient(interceptor.NewClient(w, budget))
		w.Orphan("alice")
		rs := &appsv1.ReplicaSet{}
		w.Must(w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-a"}, rs))
		if going {
			rs.Finalizers = []string{"foregroundDeletion"}
			w.Must(w.Update(t.Context(), rs))
		}
		w.Must(w.Delete(t.Context(), rs))
		w.reconcile("alice")
		w.Must(w.Delete(t.Context(), intercept("alice", time.Now())))
		key := client.ObjectKey{Namespace: "shop", Name: "quote-alice"}
		if _, err := w.ics.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		if err := w.Get(t.Context(), key, &v1alpha1.Intercept{}); !apierrors.IsNotFound(err) {
			t.Errorf("the intercept waits: %v", err)
		}
		j := &replacement.Janitor{Replacer: w.ics.Replacer}
		w.Must(j.Tidy(t.Context(), time.Now()))
		if l := w.Pod("quote-1").Labels; l["hash"] != "" {
			t.Errorf("labels %v", l)
		}
		allowed = true
		w.Must(j.Tidy(t.Context(), time.Now()))
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-1"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
			t.Errorf("the pod stays: %v", err)
		}
	}
}
