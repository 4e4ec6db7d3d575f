package main

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// TestCachedReplicaSets: the cache keeps ReplicaSets without their templates, because
// a cluster has many old ones.
func TestCachedReplicaSets(t *testing.T) {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: "d", Controller: ptr.To(true)}}},
		Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](0), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}}}
	for o, by := range caches(&options{}).ByObject {
		if _, ok := o.(*appsv1.ReplicaSet); !ok || by.Transform == nil {
			continue
		}
		if _, err := by.Transform(rs); err != nil {
			t.Fatal(err)
		}
	}
	if len(rs.Spec.Template.Spec.Containers) != 0 {
		t.Error("the template is cached")
	}
}
