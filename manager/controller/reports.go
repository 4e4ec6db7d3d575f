package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
)

// liveReports are the reports of agents that can still report: their pod is there, and
// has an agent. If no replica saw an agent end, its last report is still in the status.
func liveReports(reports []v1alpha1.PodStatus, pods []corev1.Pod) (live []v1alpha1.PodStatus) {
	for _, s := range reports {
		k := slices.IndexFunc(pods, func(p corev1.Pod) bool { return isOf(&s, &p) && p.DeletionTimestamp == nil })
		if k < 0 {
			continue
		}
		if !hasAgent(&pods[k]) {
			s.Ports = nil
		}
		if s.Container != nil && !inject.ObserveStandIn(&pods[k], s.Container.Name).Running {
			s.Container = nil
		}
		if hasAgent(&pods[k]) || s.Container != nil {
			live = append(live, s)
		}
	}
	return live
}

// isOf says that a report is of this very pod, and not of one that had its name.
func isOf(s *v1alpha1.PodStatus, pod *corev1.Pod) bool {
	return s.Name == pod.Name && (s.UID == "" || s.UID == pod.UID)
}

// hasAgent says that a pod has a sidecar, or an ephemeral agent that runs or is being
// started.
func hasAgent(pod *corev1.Pod) bool { return sidecar.Of(pod) != nil || inject.Observe(pod).Running }

// reportOf is what the pod's agents report of its ports; nil when none does.
func reportOf(reports []v1alpha1.PodStatus, pod *corev1.Pod) *v1alpha1.PodStatus {
	k := slices.IndexFunc(reports, func(s v1alpha1.PodStatus) bool { return isOf(&s, pod) && (len(s.Ports) > 0 || s.Container == nil) })
	if k < 0 {
		return nil
	}
	return &reports[k]
}

// containerOf is what the agent beside a container of the pod reports of it; nil when none
// does.
func containerOf(reports []v1alpha1.PodStatus, pod *corev1.Pod, container string) *v1alpha1.PodContainer {
	for _, s := range reports {
		if isOf(&s, pod) && s.Container != nil && s.Container.Name == container {
			return s.Container
		}
	}
	return nil
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
