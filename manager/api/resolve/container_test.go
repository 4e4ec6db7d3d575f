package resolve

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestStandInContainer(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "quote-1"}, Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "setup"}, {Name: "proxy", RestartPolicy: &always}},
		Containers:     []corev1.Container{{Name: "log"}, {Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}}
	http := []v1alpha1.ResolvedPort{{ContainerPort: 80, ContainerPortName: "http", Protocol: corev1.ProtocolTCP}}
	for name, c := range map[string]struct {
		want, annotation string
		ports            []v1alpha1.ResolvedPort
		container        string
		message          string
	}{
		"the first":                     {"", "", nil, "log", ""},
		"kubectl's":                     {"", "app", nil, "app", ""},
		"kubectl's, which is not there": {"", "gone", nil, "log", ""},
		"of the port":                   {"", "log", http, "app", ""},
		"of a port that none declares":  {"", "", []v1alpha1.ResolvedPort{{ContainerPort: 1}}, "log", ""},
		"asked for":                     {"proxy", "", http, "proxy", ""},
		"an init container":             {"setup", "", http, "", `pod quote-1 has no container "setup": it has log, app, proxy`},
	} {
		pod.Annotations = map[string]string{defaultContainer: c.annotation}
		if got, message := StandInContainer(c.want, c.ports, pod); got != c.container || message != c.message {
			t.Errorf("%s: %q, %q", name, got, message)
		}
	}
}

func TestProbedPorts(t *testing.T) {
	http := func(port intstr.IntOrString) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port}}}
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "other", LivenessProbe: http(intstr.FromInt32(1))},
		{Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
			LivenessProbe:  http(intstr.FromString("http")),
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9090}}},
			StartupProbe:   &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("8080")}}}},
		{Name: "quiet", LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{}}}, ReadinessProbe: http(intstr.FromString("gone"))},
	}}}
	for container, want := range map[string][]int32{"app": {8080, 9090}, "other": {1}, "quiet": nil, "absent": nil} {
		if got := ProbedPorts(&pod.Spec, container); !slices.Equal(got, want) {
			t.Errorf("of container %s: %v, want %v", container, got, want)
		}
	}
	got := Unintercepted([]int32{8080, 9090}, []v1alpha1.ResolvedPort{{ContainerPortName: "http", Protocol: corev1.ProtocolTCP}, {ContainerPort: 9090, Protocol: corev1.ProtocolUDP}}, pod)
	if len(got) != 1 || got[0].ContainerPort != 9090 || got[0].Protocol != corev1.ProtocolTCP {
		t.Errorf("not intercepted are %+v", got)
	}
}
