package replacement

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
)

// TestEvictable: of several pods that people have to delete, the message names the same
// one each time.
func TestEvictable(t *testing.T) {
	s := newShop(t)
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "ds"},
		Spec: appsv1.DaemonSetSpec{UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}}}
	w, err := resolve.From(set)
	s.Must(err)
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "quote", UID: "ds", Controller: ptr.To(true)}}}}
	}
	for _, bare := range [][]*corev1.Pod{{pod("quote-0"), pod("quote-1")}, {pod("quote-1"), pod("quote-0")}} {
		evictable, byHand, err := s.replacer.evictable(t.Context(), w, bare)
		s.Must(err)
		if len(evictable) != 0 || byHand == nil || !strings.Contains(byHand.Message, "delete pod quote-0 ") {
			t.Errorf("%v, %+v", evictable, byHand)
		}
	}
}
