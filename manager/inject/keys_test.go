package inject

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
)

// An ephemeral agent has the Secrets that annotations name, from volumes that the pod has
// under the Secrets' own file names.
func TestKeysOfEphemeralAgents(t *testing.T) {
	const originating = "telepresence.io/inject-originating-tls-secret"
	volume := func(name, secret string, items ...corev1.KeyToPath) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret, Items: items}}}
	}
	for _, x := range []struct {
		name        string
		annotations map[string]string
		volumes     []corev1.Volume
		want        []string // volumes at their folders
		missing     string
	}{
		{"no annotation", nil, []corev1.Volume{volume("v", "server")}, nil, ""},
		{"both", map[string]string{resolve.TerminatingTLSKey: "server", originating: "client"},
			[]corev1.Volume{volume("a", "other"), volume("b", "client"), volume("c", "server")}, []string{"c at /tls/terminating", "b at /tls/originating"}, ""},
		{"one Secret for both", map[string]string{resolve.TerminatingTLSKey: "server", originating: "server"},
			[]corev1.Volume{volume("v", "server")}, []string{"v at /tls/terminating", "v at /tls/originating"}, ""},
		{"no volume", map[string]string{resolve.TerminatingTLSKey: "server"}, []corev1.Volume{{Name: "server"}}, nil, "server"},
		{"one of two", map[string]string{resolve.TerminatingTLSKey: "server", originating: "client"},
			[]corev1.Volume{volume("v", "server")}, []string{"v at /tls/terminating"}, "client"},
		{"other file names", map[string]string{resolve.TerminatingTLSKey: "server"},
			[]corev1.Volume{volume("v", "server", corev1.KeyToPath{Key: "tls.crt", Path: "server.pem"})}, nil, "server"},
		{"the same file names", map[string]string{resolve.TerminatingTLSKey: "server"},
			[]corev1.Volume{volume("v", "server", corev1.KeyToPath{Key: "tls.crt", Path: "tls.crt"})}, []string{"v at /tls/terminating"}, ""},
	} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: x.annotations}, Spec: corev1.PodSpec{Volumes: x.volumes}}
		var got []string
		for _, m := range Ephemeral(p, Config{}, ContainerName, "token").VolumeMounts {
			got = append(got, m.Name+" at "+m.MountPath)
			if !m.ReadOnly {
				t.Errorf("%s: %s can be written", x.name, m.Name)
			}
		}
		if missing := MissingKey(p); !slices.Equal(got, x.want) || missing != x.missing {
			t.Errorf("%s: mounts %q, misses %q", x.name, got, missing)
		}
	}
}
