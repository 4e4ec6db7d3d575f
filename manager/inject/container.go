package inject

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	tokenVolume = "traffic-agent-token"
	tokenFolder = "/var/run/secrets/kubectl-intercept.dev/token"
	tokenFile   = "token"
	tokenLife   = 3600 // seconds; the kubelet renews it in time
)

// agentContainer is the sidecar. It needs no privilege and writes no file.
func agentContainer(s *rpc.Sidecar, w resolve.Wishes, cfg Config) corev1.Container {
	c := corev1.Container{
		Name: cmp.Or(s.Container, sidecar.Container), Image: cfg.Image, ImagePullPolicy: cfg.PullPolicy, Resources: cfg.Resources,
		Args: []string{"sidecar"},
		Env: []corev1.EnvVar{
			{Name: "AGENT_MANAGER", Value: cfg.Manager},
			{Name: "AGENT_SERVER_NAME", Value: cfg.ServerName},
			{Name: "AGENT_CA", Value: cfg.CA},
			{Name: "AGENT_TOKEN_FILE", Value: tokenFolder + "/" + tokenFile},
			field("AGENT_NAMESPACE", "metadata.namespace"),
			field("AGENT_POD", "metadata.name"),
			field("AGENT_POD_UID", "metadata.uid"),
			field("AGENT_POD_IPS", "status.podIPs"),
			field("AGENT_SIDECAR", "metadata.annotations['"+sidecar.Annotation+"']"),
			{Name: "AGENT_LOG_LEVEL", Value: cfg.LogLevel},
		},
		VolumeMounts:             []corev1.VolumeMount{{Name: tokenVolume, MountPath: tokenFolder, ReadOnly: true}},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			RunAsUser: ptr.To(s.UID), RunAsGroup: ptr.To(s.UID), RunAsNonRoot: ptr.To(true),
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
	for _, p := range s.Ports {
		port := corev1.ContainerPort{ContainerPort: int32(p.Agent), Protocol: corev1.Protocol(p.Protocol)}
		if p.TakesName() {
			port.Name = p.Name
		}
		c.Ports = append(c.Ports, port)
	}
	if w.TerminatingTLS != "" {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: terminatingVolume, MountPath: rpc.TerminatingFolder, ReadOnly: true})
	}
	if w.OriginatingTLS != "" {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: originatingVolume, MountPath: rpc.OriginatingFolder, ReadOnly: true})
	}
	return c
}

// initContainer sets the redirect of ports that callers know by number, for
// the life of the pod.
func initContainer(s *rpc.Sidecar, cfg Config) corev1.Container {
	return corev1.Container{
		Name: cmp.Or(s.InitContainer, sidecar.InitContainer), Image: cfg.Image, ImagePullPolicy: cfg.PullPolicy, Resources: cfg.InitResources,
		Args: []string{"redirect"},
		Env: []corev1.EnvVar{
			field("AGENT_SIDECAR", "metadata.annotations['"+sidecar.Annotation+"']"),
			field("AGENT_NODE_IPS", "status.hostIPs"),
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext:          sidecar.NetAdmin(),
	}
}

// volumes are the token by which the agent proves its pod, made for this
// manager alone, and the Secrets that the annotations name. One that is not
// there must not keep the application from starting.
func volumes(w resolve.Wishes, cfg Config) []corev1.Volume {
	out := []corev1.Volume{{Name: tokenVolume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: cfg.ServerName, ExpirationSeconds: ptr.To[int64](tokenLife), Path: tokenFile,
		}}},
	}}}}
	secret := func(volume, name string) {
		if name != "" {
			out = append(out, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name, Optional: ptr.To(true)}}})
		}
	}
	secret(terminatingVolume, w.TerminatingTLS)
	secret(originatingVolume, w.OriginatingTLS)
	return slices.Clip(out)
}

func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}
