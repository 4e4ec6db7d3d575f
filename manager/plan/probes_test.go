package plan

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

func probe(h corev1.ProbeHandler) *corev1.Probe { return &corev1.Probe{ProbeHandler: h} }

func get(port intstr.IntOrString) *corev1.HTTPGetAction {
	return &corev1.HTTPGetAction{Path: "healthz?full=1", Port: port}
}

// Every way by which the kubelet calls a port is declared, and a name means the
// port of its own container.
func TestDeclaredProbes(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	number, name := intstr.FromInt32(8080), intstr.FromString("http")
	tls := get(number)
	tls.Scheme, tls.Host = corev1.URISchemeHTTPS, "quote.example"
	agent := get(name)
	agent.HTTPHeaders = []corev1.HTTPHeader{{Name: "User-Agent", Value: "watchdog/1"}}
	pod := &corev1.Pod{
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{
				{Name: "native", RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: "health", ContainerPort: 8080}},
					StartupProbe:   probe(corev1.ProbeHandler{HTTPGet: get(intstr.FromString("health"))}),
					ReadinessProbe: probe(corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 8080}})},
				{Name: "setup", LivenessProbe: probe(corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: number}})},
			},
			Containers: []corev1.Container{
				{Name: "quote", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
					StartupProbe: probe(corev1.ProbeHandler{HTTPGet: agent}), LivenessProbe: probe(corev1.ProbeHandler{HTTPGet: tls}),
					ReadinessProbe: probe(corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: name}}),
					Lifecycle:      &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: get(number)}}},
				{Name: "other", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 9090}},
					LivenessProbe: probe(corev1.ProbeHandler{HTTPGet: get(name)})},
				{Name: "command", LivenessProbe: probe(corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}})},
			},
		},
		Status: corev1.PodStatus{HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}}, PodIPs: []corev1.PodIP{{IP: "10.0.0.7"}}},
	}
	const target = "/healthz?full=1"
	want := &rpc.CapturePort{Port: 8080, NodeAddresses: []string{"192.0.2.1"}, Probes: []*rpc.Probe{
		{Kind: rpc.Probe_HTTPS, Target: target, Host: "quote.example"},
		{Kind: rpc.Probe_TCP},
		{Kind: rpc.Probe_HTTP, Target: target, Headers: []*rpc.Header{{Name: "User-Agent", Value: "watchdog/1"}}},
		{Kind: rpc.Probe_HTTP, Target: target, Hook: true},
		{Kind: rpc.Probe_GRPC},
		{Kind: rpc.Probe_HTTP, Target: target},
	}}
	got := &rpc.CapturePort{Port: 8080}
	declareProbes(got, pod)
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Error(d)
	}
	got = &rpc.CapturePort{Port: 8080, Protocol: rpc.Protocol_UDP}
	if declareProbes(got, pod); len(got.Probes) != 0 {
		t.Errorf("UDP has probes: %v", got.Probes)
	}
}

// Istio's injector makes the kubelet call the proxy, which calls the application.
func TestProbesOfAMesh(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "quote"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "quote", LivenessProbe: probe(corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/app-health/quote/livez", Port: intstr.FromInt32(15020)}})},
			{Name: "istio-proxy", Env: []corev1.EnvVar{{Name: meshProbers, Value: `{"/app-health/quote/livez":{"httpGet":{"path":"/live","port":8080,"scheme":"HTTPS"},"timeoutSeconds":1},` +
				`"/app-health/quote/readyz":{"httpGet":{"path":"/ready","port":8080}},"/app-health/other/readyz":{"tcpSocket":{"port":9090}}}`}}},
		}},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.7"}}},
	}
	want := &rpc.CapturePort{Port: 8080, NodeAddresses: []string{"127.0.0.1", "::1", "10.0.0.7"}, Probes: []*rpc.Probe{
		{Kind: rpc.Probe_HTTP, Target: "/ready"}, {Kind: rpc.Probe_HTTPS, Target: "/live"},
	}}
	got := &rpc.CapturePort{Port: 8080}
	declareProbes(got, pod)
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

// All replicas must make the same plan, and one replica the same every time.
func TestProbesOfAMeshInOrder(t *testing.T) {
	probers := map[string]*corev1.Probe{}
	var want []*rpc.Probe
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		p := get(intstr.FromInt32(8080))
		p.Path, p.HTTPHeaders = "/", []corev1.HTTPHeader{{Name: "X", Value: n}}
		probers[n] = probe(corev1.ProbeHandler{HTTPGet: p})
		want = append(want, &rpc.Probe{Target: "/", Headers: []*rpc.Header{{Name: "X", Value: n}}})
	}
	text, err := json.Marshal(probers)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy", Env: []corev1.EnvVar{{Name: meshProbers, Value: string(text)}}}}}}
	if d := cmp.Diff(want, meshProbes(pod, 8080), protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

// Where the agent has the port's name, the kubelet calls the number, past the agent.
func TestProbesPastASidecar(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
			sidecar.Annotation: `{"uid":1,"ports":[{"name":"http","number":8080,"protocol":"TCP","agent":9900},{"number":9090,"protocol":"TCP","agent":9901,"redirect":true}]}`}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "quote", LivenessProbe: probe(corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}),
				ReadinessProbe: probe(corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(9090)}})},
			{Name: sidecar.Container},
		}},
	}
	taken, redirected := &rpc.CapturePort{Port: 8080}, &rpc.CapturePort{Port: 9090}
	declareProbes(taken, pod)
	declareProbes(redirected, pod)
	if len(taken.Probes) != 0 || len(redirected.Probes) != 1 {
		t.Errorf("declared %v and %v", taken.Probes, redirected.Probes)
	}
}
