package replacement

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRemovable holds which label of a pod may be taken off: one that its ReplicaSet
// selects by, and no Service of this pod does.
func TestRemovable(t *testing.T) {
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
			s := newShop(t)
			if c.selector != nil {
				s.Must(s.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "more"},
					Spec: corev1.ServiceSpec{Selector: c.selector}}))
			}
			found, err := s.replacer.removable(t.Context(), s.Pod("quote-1"))
			s.Must(err)
			if !maps.Equal(found, c.want) {
				t.Errorf("removable are %v, want %v", found, c.want)
			}
		})
	}
}
