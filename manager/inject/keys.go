package inject

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const (
	terminatingVolume = "traffic-agent-terminating-tls"
	originatingVolume = "traffic-agent-originating-tls"
)

// keyMounts are the Secrets that the annotations name, from volumes that the pod has. An
// ephemeral container cannot bring volumes of its own.
func keyMounts(p *corev1.Pod) []corev1.VolumeMount {
	w, err := resolve.ReadWishes(p.Annotations)
	if err != nil {
		return nil
	}
	var mounts []corev1.VolumeMount
	for _, k := range [...]struct{ secret, folder string }{{w.TerminatingTLS, rpc.TerminatingFolder}, {w.OriginatingTLS, rpc.OriginatingFolder}} {
		if volume := volumeOf(p, k.secret); volume != "" {
			mounts = append(mounts, corev1.VolumeMount{Name: volume, MountPath: k.folder, ReadOnly: true})
		}
	}
	return mounts
}

// MissingKey is the Secret that an annotation of the pod names and that an ephemeral agent
// could not have, since it is no volume of the pod; empty if there is none.
func MissingKey(p *corev1.Pod) string {
	w, err := resolve.ReadWishes(p.Annotations)
	if err != nil {
		return ""
	}
	for _, secret := range [...]string{w.TerminatingTLS, w.OriginatingTLS} {
		if secret != "" && volumeOf(p, secret) == "" {
			return secret
		}
	}
	return ""
}

// volumeOf is the volume of the pod that has a Secret under its own file names; empty if
// there is none.
func volumeOf(p *corev1.Pod, secret string) string {
	for _, v := range p.Spec.Volumes {
		if v.Secret == nil || secret == "" || v.Secret.SecretName != secret {
			continue
		}
		if !slices.ContainsFunc(v.Secret.Items, func(i corev1.KeyToPath) bool { return i.Key != i.Path }) {
			return v.Name
		}
	}
	return ""
}
