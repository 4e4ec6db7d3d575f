package intercept

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// What the agent cannot tell from other callers is said before it does harm; the
// kubelet's own probes are no reason to warn.
func TestUncertainProbes(t *testing.T) {
	exec := func(command string) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: strings.Fields(command)}}}
	}
	get := func(host string) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Host: host, Port: intstr.FromInt32(8080)}}}
	}
	for _, c := range []struct {
		name  string
		probe *corev1.Probe
		port  int32
		want  string
	}{
		{"a command that calls the port", exec("curl -f localhost:8080/health"), 8080, "runs a command that calls port 8080"},
		{"grpc_health_probe", exec("/bin/grpc_health_probe -addr=:8080"), 8080, "runs a command that calls port 8080"},
		{"the usual port of a scheme", exec("wget -q http://127.0.0.1/health"), 80, "runs a command that calls port 80"},
		{"another port of the scheme", exec("wget -q http://127.0.0.1:8080/health"), 80, ""},
		{"a longer number", exec("curl localhost:18080"), 8080, ""},
		{"a command that calls nothing", exec("cat /tmp/healthy"), 8080, ""},
		{"the kubelet itself", get(""), 8080, ""},
		{"another host", get("front.example"), 8080, "calls port 8080 of host front.example"},
		{"no probe", nil, 8080, ""},
	} {
		always := corev1.ContainerRestartPolicyAlways
		for where, spec := range map[string]*corev1.PodSpec{
			"container":      {Containers: []corev1.Container{{Name: "quote", LivenessProbe: c.probe}}},
			"native sidecar": {InitContainers: []corev1.Container{{Name: "quote", RestartPolicy: &always, ReadinessProbe: c.probe}}},
		} {
			got := uncertain(spec, []v1alpha1.ResolvedPort{{ContainerPort: c.port, Protocol: corev1.ProtocolTCP}})
			if c.want == "" && len(got) > 0 || c.want != "" && !(len(got) == 1 && strings.Contains(got[0], c.want)) {
				t.Errorf("%s of a %s: %q, want %q", c.name, where, got, c.want)
			}
		}
	}
	done := uncertain(&corev1.PodSpec{InitContainers: []corev1.Container{{LivenessProbe: exec("curl :8080")}}}, []v1alpha1.ResolvedPort{{ContainerPort: 8080}})
	if !slices.Equal(done, nil) {
		t.Errorf("of a container that ends: %q", done)
	}
}
