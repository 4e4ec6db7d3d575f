package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

// liveReports are the reports of agents that can still report: their pod is there, and
// has an agent. If no replica saw an agent end, its last report is still in the status.
func liveReports(reports []v1alpha1.PodStatus, pods []corev1.Pod) []v1alpha1.PodStatus {
	return slices.DeleteFunc(slices.Clone(reports), func(s v1alpha1.PodStatus) bool {
		return !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			return isOf(&s, &p) && p.DeletionTimestamp == nil && hasAgent(&p)
		})
	})
}

// isOf says that a report is of this very pod, and not of one that had its name.
func isOf(s *v1alpha1.PodStatus, pod *corev1.Pod) bool {
	return s.Name == pod.Name && (s.UID == "" || s.UID == pod.UID)
}

// hasAgent says that a pod has a sidecar, or an ephemeral agent that runs or is being
// started.
func hasAgent(pod *corev1.Pod) bool { return sidecar.Of(pod) != nil || inject.Observe(pod).Running }

// reportOf is what the pod's agent reports; nil when none does.
func reportOf(reports []v1alpha1.PodStatus, pod *corev1.Pod) *v1alpha1.PodStatus {
	k := slices.IndexFunc(reports, func(s v1alpha1.PodStatus) bool { return isOf(&s, pod) })
	if k < 0 {
		return nil
	}
	return &reports[k]
}

// proven says that the agent has shown for every one of the ports that the pod has that
// callers come to it. What agents say of other ports, from before the Intercept was
// changed, proves nothing.
func proven(ports []v1alpha1.ResolvedPort, pod *corev1.Pod, s *v1alpha1.PodStatus) bool {
	return !slices.ContainsFunc(ports, func(r v1alpha1.ResolvedPort) bool {
		n := resolve.PortIn(pod, r)
		return n != 0 && !slices.ContainsFunc(s.Ports, func(p v1alpha1.PodPort) bool {
			return p.Port == n && p.Protocol == r.Protocol && p.State == v1alpha1.PodActive
		})
	})
}

// uncompared are reports without what they say about conditions, which are others now.
func uncompared(reports []v1alpha1.PodStatus) []v1alpha1.PodStatus {
	reports = slices.Clone(reports)
	for i := range reports {
		reports[i].Ports = slices.Clone(reports[i].Ports)
		for k := range reports[i].Ports {
			reports[i].Ports[k].Comparison = nil
		}
	}
	return reports
}
