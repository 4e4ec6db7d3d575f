package carrier

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// podReader is a cluster of pods; all but "starting" are ready.
type podReader struct {
	client.Reader
	names []string
}

func pods(names ...string) client.Reader { return podReader{names: names} }

func (r podReader) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	for _, n := range r.names {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: n}}
		if n != "starting" {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		list.(*corev1.PodList).Items = append(list.(*corev1.PodList).Items, pod)
	}
	return nil
}
