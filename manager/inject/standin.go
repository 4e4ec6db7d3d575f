package inject

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
)

// MaxStandIns is how many stand-in agents a pod is given: none of them can be taken out of
// the pod again.
const MaxStandIns = 10

// ObserveStandIn reads the state of the agent beside a container off the pod.
func ObserveStandIn(p *corev1.Pod, container string) State {
	s := observe(p, func(c *corev1.EphemeralContainer) bool {
		return sidecar.IsStandIn(c.Name) && c.TargetContainerName == container
	})
	s.Next = next(p, sidecar.StandInContainer, sidecar.IsStandIn, MaxStandIns)
	return s
}

// StandInRuns says that the kubelet has started the agent beside a container.
func StandInRuns(p *corev1.Pod, container string) bool {
	return slices.ContainsFunc(p.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool {
		return sidecar.IsStandIn(c.Name) && c.TargetContainerName == container &&
			slices.ContainsFunc(p.Status.EphemeralContainerStatuses, func(s corev1.ContainerStatus) bool {
				return s.Name == c.Name && s.State.Running != nil
			})
	})
}

// StandIn is the container that brings an agent beside a container of a running pod. It
// has the container's process namespace, and ends with the container. As root it reads the
// processes of every user, and opens files with the rights of the container's process;
// asUser is for pods that may not have such a container: then it reads what that user's
// processes read. Meshed says that a service mesh redirects what the pod connects to.
func StandIn(p *corev1.Pod, cfg Config, name, token, container string, asUser *int64, meshed bool) corev1.EphemeralContainer {
	id := ""
	for _, s := range slices.Concat(p.Status.ContainerStatuses, p.Status.InitContainerStatuses) {
		if s.Name == container {
			id = s.ContainerID
		}
	}
	c := Ephemeral(p, cfg, name, token)
	c.TargetContainerName, c.Args, c.VolumeMounts = container, []string{"container"}, nil
	c.Env = append(c.Env, corev1.EnvVar{Name: "AGENT_CONTAINER", Value: container}, corev1.EnvVar{Name: "AGENT_CONTAINER_ID", Value: id},
		corev1.EnvVar{Name: "AGENT_HIDDEN_MOUNTS", Value: strings.Join(hidden(p, container), ":")})
	c.SecurityContext = &corev1.SecurityContext{
		RunAsUser: ptr.To[int64](0), RunAsGroup: ptr.To[int64](0), RunAsNonRoot: ptr.To(false),
		AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: StandInCapabilities(meshed)},
	}
	if meshed && asUser == nil {
		c.Env = append(c.Env, corev1.EnvVar{Name: "AGENT_MESH", Value: "true"})
	}
	if asUser != nil {
		c.SecurityContext = &corev1.SecurityContext{
			RunAsUser: asUser, RunAsGroup: groupOf(p, container), RunAsNonRoot: ptr.To(*asUser != 0),
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	}
	return c
}

// StandInCapabilities are those of an agent beside a container. SYS_PTRACE lets it read the
// container's process, SETUID and SETGID let it act as that process's user. The others let it
// do with files what a process of root does, and it uses those alone that the container's
// process has. In a pod of a service mesh, NET_ADMIN lets it reach the traffic-manager past the
// mesh's proxy.
func StandInCapabilities(meshed bool) []corev1.Capability {
	list := []corev1.Capability{"SYS_PTRACE", "SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"}
	if meshed {
		list = append(list, "NET_ADMIN")
	}
	return list
}

// hidden are the paths whose volumes stay in the pod: those that its annotation names, and
// those where the container has the volumes that it names.
func hidden(p *corev1.Pod, container string) (paths []string) {
	w, err := resolve.ReadWishes(p.Annotations)
	if err != nil {
		return []string{"/"} // nobody knows what the owner wished
	}
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		for _, m := range c.VolumeMounts {
			if c.Name == container && slices.Contains(w.IgnoreMounts, m.Name) {
				paths = append(paths, m.MountPath)
			}
		}
	}
	for _, wish := range w.IgnoreMounts {
		if path.IsAbs(wish) {
			paths = append(paths, wish)
		}
	}
	return paths
}

// UserOf is the user of a container's process as the spec has it; nil if the image says it.
func UserOf(p *corev1.Pod, container string) *int64 {
	if s := securityOf(p, container); s != nil && s.RunAsUser != nil {
		return s.RunAsUser
	}
	if s := p.Spec.SecurityContext; s != nil {
		return s.RunAsUser
	}
	return nil
}

// groupOf is the group of a container's process if its own spec has it: the kernel lets a
// process of the same user and group alone look into another one.
func groupOf(p *corev1.Pod, container string) *int64 {
	if s := securityOf(p, container); s != nil {
		return s.RunAsGroup
	}
	return nil
}

func securityOf(p *corev1.Pod, container string) *corev1.SecurityContext {
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		if c.Name == container {
			return c.SecurityContext
		}
	}
	return nil
}
