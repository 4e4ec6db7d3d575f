package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
)

// asAsked is why the agent enters as it does where the spec says so. It holds for that
// spec only.
const asAsked = "as asked for"

// choose says how the agent enters the pods. Auto takes sidecars that are there, else
// begins with an ephemeral container. Attach changes to a sidecar when the API server
// refuses that, and this choice, before, stays.
func choose(asked v1alpha1.InjectMode, before injection, ports []v1alpha1.ResolvedPort, pods []corev1.Pod) injection {
	missing := slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !replacement.Covered(ports, &p) })
	switch {
	case asked == v1alpha1.InjectEphemeral:
		return injection{v1alpha1.InjectEphemeral, asAsked}
	case asked == v1alpha1.InjectSidecar:
		return injection{v1alpha1.InjectSidecar, asAsked}
	case before.mode == v1alpha1.InjectSidecar && before.reason != asAsked:
		return before
	case slices.ContainsFunc(pods, func(p corev1.Pod) bool { return bypassed(ports, &p) }):
		return injection{v1alpha1.InjectSidecar, "the pods have one, which has to learn of the Service"}
	case len(pods) > 0 && !missing:
		return injection{v1alpha1.InjectSidecar, "the pods have one already"}
	}
	return injection{v1alpha1.InjectEphemeral, "the namespace admits it, and no pod has to be replaced"}
}

// missingKey is a Secret for TLS that the intercept needs and that an ephemeral agent could
// not have in one of the pods; empty if there is none.
func missingKey(ic *v1alpha1.Intercept, ports []v1alpha1.ResolvedPort, pods []corev1.Pod) string {
	inTLS := func(p v1alpha1.ResolvedPort) bool {
		s := resolve.AppProtocol(p.AppProtocol)
		return s == resolve.HTTPS || s == resolve.Undeclared
	}
	if ic.Spec.Match == nil || !slices.ContainsFunc(ports, inTLS) {
		return ""
	}
	for i := range pods {
		if secret := inject.MissingKey(&pods[i]); secret != "" && !replacement.Covered(ports, &pods[i]) {
			return secret
		}
	}
	return ""
}

// bypassed says that a pod has a sidecar for one of the ports, and callers do not come
// to it: the sidecar was made before their Service, and nothing but another pod helps.
func bypassed(ports []v1alpha1.ResolvedPort, p *corev1.Pod) bool {
	s := sidecar.Of(p)
	return s != nil && slices.ContainsFunc(ports, func(r v1alpha1.ResolvedPort) bool {
		n := resolve.PortIn(p, r)
		return n != 0 && sidecar.Covers(s, n, r.Protocol) && !sidecar.Leads(s, r, n)
	})
}

// concerns says that a pod has one of the ports. In a pod that has none, as one of an
// older revision or another one that a Service selects, an agent would have nothing to
// do.
func concerns(ports []v1alpha1.ResolvedPort, p *corev1.Pod) bool {
	return slices.ContainsFunc(ports, func(r v1alpha1.ResolvedPort) bool { return resolve.PortIn(p, r) != 0 })
}
