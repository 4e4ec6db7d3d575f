package target

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// How an object says whose it is: by the chart, and by Helm.
const (
	managerNamespaceLabel = "kubectl-intercept.dev/manager-namespace"
	helmNamespace         = "meta.helm.sh/release-namespace"
)

// remainKinds are the kinds of the chart's objects that can outlive the
// traffic-manager, those last without which users could act in each other's names. The
// definitions are not among them.
func remainKinds() []schema.GroupVersionKind {
	kinds := func(group, version string, names ...string) (out []schema.GroupVersionKind) {
		for _, n := range names {
			out = append(out, schema.GroupVersionKind{Group: group, Version: version, Kind: n})
		}
		return out
	}
	var all []schema.GroupVersionKind
	all = append(all, kinds("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration")...)
	all = append(all, kinds("policy", "v1", "PodDisruptionBudget")...)
	all = append(all, kinds("networking.k8s.io", "v1", "NetworkPolicy")...)
	all = append(all, kinds("", "v1", "ConfigMap", "Secret", "Service", "ServiceAccount")...)
	all = append(all, kinds("rbac.authorization.k8s.io", "v1", "RoleBinding", "Role", "ClusterRoleBinding", "ClusterRole")...)
	return append(all, kinds("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy")...)
}

// Remains are the objects that belong to the installation in a namespace, but
// for its definitions and what runs. They outlive the namespace itself.
func Remains(ctx context.Context, r client.Reader, namespace string) ([]metav1.PartialObjectMetadata, error) {
	var out []metav1.PartialObjectMetadata
	for _, kind := range remainKinds() {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := r.List(ctx, &list, client.MatchingLabels{"app.kubernetes.io/part-of": "kubectl-intercept"})
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for what is left of an installation: %w", err)
		}
		for _, o := range list.Items {
			if o.DeletionTimestamp == nil && belongs(&o, namespace) {
				o.SetGroupVersionKind(kind)
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// belongs says that an object is of the installation in a namespace.
func belongs(o *metav1.PartialObjectMetadata, namespace string) bool {
	if owner := o.Labels[managerNamespaceLabel]; owner != "" {
		return owner == namespace
	}
	return o.Annotations[helmNamespace] == namespace
}

// RemainName is "clusterrole traffic-manager-intercept-system".
func RemainName(o *metav1.PartialObjectMetadata) string {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return strings.ToLower(o.Kind) + " " + name
}

// gone says that there is no namespace, or that it is on its way out. A user
// without the right to see it knows nothing.
func gone(ctx context.Context, r client.Reader, namespace string) bool {
	var ns corev1.Namespace
	err := r.Get(ctx, client.ObjectKey{Name: namespace}, &ns)
	return apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil
}
