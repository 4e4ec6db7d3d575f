package preview

import (
	"cmp"
	"context"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

// Services returns the names of the intercepted Services.
func Services(ports []v1alpha1.ResolvedPort) []string {
	var names []string
	for _, p := range ports {
		if p.Service != "" && !slices.Contains(names, p.Service) {
			names = append(names, p.Service)
		}
	}
	return names
}

// Own returns the way that the spec of an Intercept in a namespace names.
func Own(namespace string, p *v1alpha1.Preview) Candidate {
	service, rest, _ := strings.Cut(p.Host, ".")
	in, _, _ := strings.Cut(rest, ".")
	return Candidate{Namespace: cmp.Or(in, namespace), Service: service, From: "intercept",
		Ingress: gateway.Ingress{Host: p.Host, Port: uint16(p.Port), TLS: p.TLS, L5Host: p.L5Host}}
}

// ServicePorts returns the ways that lead to the intercepted Services directly.
func ServicePorts(ctx context.Context, r client.Reader, namespace string, ports []v1alpha1.ResolvedPort) []Candidate {
	var found []Candidate
	for _, p := range ports {
		var s corev1.Service
		if p.Service == "" || p.Protocol == corev1.ProtocolUDP || r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: p.Service}, &s) != nil {
			continue
		}
		if i := slices.IndexFunc(s.Spec.Ports, func(x corev1.ServicePort) bool { return x.Port == p.ServicePort }); i >= 0 {
			found = append(found, Direct(namespace, s.Name, s.Spec.Ports[i]))
		}
	}
	return found
}

// Reachable leaves those candidates over that the user may dial through a session. That
// needs "create pods/portforward" in the namespace of the Service.
func Reachable(ctx context.Context, c client.Writer, candidates []Candidate) []Candidate {
	allowed := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(candidates), func(x Candidate) bool {
		if _, known := allowed[x.Namespace]; !known {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: x.Namespace, Verb: "create", Resource: "pods", Subresource: "portforward"}}}
			allowed[x.Namespace] = c.Create(ctx, review) == nil && review.Status.Allowed
		}
		return !allowed[x.Namespace]
	})
}
