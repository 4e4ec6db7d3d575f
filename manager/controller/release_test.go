package controller

import (
	"context"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
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
			workload, err := resolve.Get(context.Background(), w, "shop", v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"})
			w.must(err)
			held, err := w.ics.hold(context.Background(), workload, w.pod("quote-1"))
			w.must(err)
			if !maps.Equal(held, c.want) {
				t.Errorf("held by %v, want %v", held, c.want)
			}
		})
	}
}
