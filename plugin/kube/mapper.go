package kube

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// mapper knows the resources the commands read, so that no command spends
// round trips on discovery. Everything else goes through ToRESTMapper.
func mapper() meta.RESTMapper {
	const rbac = "rbac.authorization.k8s.io"
	m := meta.NewDefaultRESTMapper(nil)
	namespaced := map[schema.GroupVersion][]string{
		v1alpha1.GroupVersion():                             {"Intercept", "Session"},
		{Version: "v1"}:                                     {"Pod", "Service", "ConfigMap", "Secret", "Event", "Endpoints", "ServiceAccount"},
		{Group: "apps", Version: "v1"}:                      {"Deployment", "StatefulSet", "ReplicaSet", "DaemonSet"},
		{Group: "argoproj.io", Version: "v1alpha1"}:         {"Rollout"},
		{Group: "batch", Version: "v1"}:                     {"Job"},
		{Group: "authorization.k8s.io", Version: "v1"}:      {"LocalSubjectAccessReview"},
		{Group: "discovery.k8s.io", Version: "v1"}:          {"EndpointSlice"},
		{Group: rbac, Version: "v1"}:                        {"Role", "RoleBinding"},
		{Group: "policy", Version: "v1"}:                    {"PodDisruptionBudget"},
		{Group: "networking.k8s.io", Version: "v1"}:         {"NetworkPolicy", "Ingress"},
		{Group: "gateway.networking.k8s.io", Version: "v1"}: {"Gateway", "HTTPRoute"},
	}
	for gv, kinds := range namespaced {
		for _, kind := range kinds {
			m.Add(gv.WithKind(kind), meta.RESTScopeNamespace)
		}
	}
	cluster := map[schema.GroupVersion][]string{
		{Version: "v1"}: {"Namespace", "Node"},
		{Group: "apiextensions.k8s.io", Version: "v1"}:  {"CustomResourceDefinition"},
		{Group: "authorization.k8s.io", Version: "v1"}:  {"SelfSubjectAccessReview", "SubjectAccessReview"},
		{Group: "authentication.k8s.io", Version: "v1"}: {"SelfSubjectReview", "TokenReview"},
		{Group: rbac, Version: "v1"}:                    {"ClusterRole", "ClusterRoleBinding"},
		{Group: "admissionregistration.k8s.io", Version: "v1"}: {"MutatingWebhookConfiguration", "ValidatingAdmissionPolicy",
			"ValidatingAdmissionPolicyBinding"},
	}
	for gv, kinds := range cluster {
		for _, kind := range kinds {
			m.Add(gv.WithKind(kind), meta.RESTScopeRoot)
		}
	}
	return m
}
