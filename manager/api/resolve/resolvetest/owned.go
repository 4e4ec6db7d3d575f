// Package resolvetest makes objects for tests of what owns what.
package resolvetest

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Owned is the reference to a controller of apps/v1, whose UID is "uid of NAME".
func Owned(kind, name string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID("uid of " + name), Controller: ptr.To(true)}}
}

// Quote is Deployment "quote" of namespace "shop", which selects labels, and its
// ReplicaSet "quote-a".
func Quote(labels map[string]string) (*appsv1.Deployment, *appsv1.ReplicaSet) {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "uid of quote"},
			Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}}},
		&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-a", UID: "uid of quote-a", Labels: labels, OwnerReferences: Owned("Deployment", "quote")},
			Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"hash": "a"}}}}
}
