package sidecar

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// IsAgent says that an ephemeral container of this name is an agent: Container, or
// that with a number behind it.
func IsAgent(name string) bool {
	return name == Container || strings.HasPrefix(name, Container+"-")
}

// StandInContainer is the ephemeral container of an agent beside another container; later
// ones have a number behind it.
const StandInContainer = "stand-in-agent"

// IsStandIn says that an ephemeral container of this name is an agent beside another
// container.
func IsStandIn(name string) bool {
	return name == StandInContainer || strings.HasPrefix(name, StandInContainer+"-")
}

// FreeName is the name, with a number behind it if a container of the pod has it.
func FreeName(p *corev1.Pod, name string) string {
	used := map[string]bool{}
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		used[c.Name] = true
	}
	for _, c := range p.Spec.EphemeralContainers {
		used[c.Name] = true
	}
	free := name
	for i := 2; used[free]; i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	return free
}

// NetAdmin is the security context of a container that sets rules in the pod's
// network: only root has the capability effectively.
func NetAdmin() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsUser: ptr.To[int64](0), RunAsGroup: ptr.To[int64](0), RunAsNonRoot: ptr.To(false),
		AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_ADMIN"}},
	}
}
