package inject

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

var config = Config{Image: "kubectl-intercept.dev/traffic-agent:0.1.0", PullPolicy: corev1.PullIfNotPresent, LogLevel: "info",
	Manager: "10.96.0.9:17843", ServerName: "traffic-manager.intercept-system.svc", CA: "PEM"}

// parse reads the documents of a manifest: one Pod and its Services.
func parse(t *testing.T, name string) (*corev1.Pod, []corev1.Service) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "sidecar", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	var services []corev1.Service
	for i, doc := range strings.Split(string(text), "\n---\n") {
		if i == 0 {
			err = yaml.UnmarshalStrict([]byte(doc), &pod)
		} else {
			var s corev1.Service
			err = yaml.UnmarshalStrict([]byte(doc), &s)
			services = append(services, s)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return &pod, services
}

// TestSidecar holds the pods that the injector makes. Each comes back as it is
// when it is injected again, and its ports are found under their names.
func TestSidecar(t *testing.T) {
	full := config
	full.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("32Mi")}
	full.InitResources.Limits = corev1.ResourceList{"memory": resource.MustParse("16Mi")}
	full.PullSecrets = []string{"registry"}
	port := func(name string, number int32, service string) v1alpha1.ResolvedPort {
		return v1alpha1.ResolvedPort{Service: service, ContainerPort: number, ContainerPortName: name, Protocol: corev1.ProtocolTCP}
	}
	for _, tt := range []struct {
		name string
		q    Request
		cfg  Config
	}{
		{name: "named", q: Request{Level: "restricted", Intercepted: []v1alpha1.ResolvedPort{port("http", 8080, "quote")}}},
		{name: "numeric", q: Request{Intercepted: []v1alpha1.ResolvedPort{port("", 8080, "quote")}}, cfg: full},
		{name: "headless"},
		{name: "several"},
		{name: "two-services"},
		{name: "tcp-and-udp"},
		{name: "sidecars", cfg: full},
		{name: "own-uid"},
		{name: "annotated"},
		{name: "before-service"},
		{name: "no-service", q: Request{Intercepted: []v1alpha1.ResolvedPort{port("debug", 8082, "")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Image == "" {
				tt.cfg = config
			}
			pod, services := parse(t, tt.name)
			tt.q.Services = services
			out, err := Sidecar(pod, tt.q, tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := yaml.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "sidecar", tt.name+".golden.yaml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("-update if that is right (-want +got):\n%s", d)
			}
			again, err := Sidecar(out, tt.q, tt.cfg)
			if err != nil || cmp.Diff(out, again) != "" {
				t.Errorf("not the same the second time (%v):\n%s", err, cmp.Diff(out, again))
			}
			if d := cmp.Diff(ports(pod), ports(out)); d != "" {
				t.Errorf("the application's ports are not found again:\n%s", d)
			}
		})
	}
}

// ports are the application's ports of a pod, by container.
func ports(p *corev1.Pod) map[string][]corev1.ContainerPort {
	out := map[string][]corev1.ContainerPort{}
	spec := sidecar.Application(p)
	for _, c := range append(spec.Containers, spec.InitContainers...) {
		out[c.Name] = c.Ports
	}
	return out
}

// TestRefusal holds what the injector says of pods that cannot have a sidecar.
func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		q          Request
		change     func(*corev1.Pod)
	}{
		{"host network", "its pods use the network of their node", Request{}, func(p *corev1.Pod) { p.Spec.HostNetwork = true }},
		{"a job", "its pods run to an end, which a sidecar would keep them from", Request{}, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }},
		{"Windows", "its pods run Windows", Request{}, func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }},
		{"bad wish", `annotation kubectl-intercept.dev/inject is "yes": use enabled or disabled`, Request{},
			func(p *corev1.Pod) { p.Annotations = map[string]string{"kubectl-intercept.dev/inject": "yes"} }},
		{"bad port", `annotation container-ports: the pod has no port "web"`, Request{},
			func(p *corev1.Pod) {
				p.Annotations = map[string]string{"telepresence.io/inject-container-ports": "web"}
			}},
		{"numeric and restricted", `callers reach port 8080/TCP by its number, and the redirect for that needs an init container with NET_ADMIN, ` +
			`which the pod security level "restricted" of the namespace refuses: name the port in the pod template and use the name as the targetPort of its Service, or set the level to privileged`,
			Request{Level: "restricted", Intercepted: []v1alpha1.ResolvedPort{{Service: "quote", ContainerPort: 8080}}}, func(*corev1.Pod) {}},
		{"annotated, numeric and baseline", ErrNothing.Error(), Request{Level: "baseline"},
			func(p *corev1.Pod) { p.Annotations = map[string]string{"kubectl-intercept.dev/inject": "enabled"} }},
		{"no such Service", ErrNothing.Error(), Request{}, func(p *corev1.Pod) {
			p.Annotations = map[string]string{"kubectl-intercept.dev/inject": "enabled", "kubectl-intercept.dev/service-name": "absent"}
		}},
		{"nothing wanted", ErrNothing.Error(), Request{}, func(*corev1.Pod) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod, services := parse(t, "numeric")
			tt.q.Services = services
			tt.change(pod)
			out, err := Sidecar(pod, tt.q, config)
			if err == nil || err.Error() != tt.want || out != nil {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			var r Refusal
			if tt.want != ErrNothing.Error() && !errors.As(err, &r) {
				t.Errorf("%T is no Refusal", err)
			}
		})
	}
}

// TestSharedNames: names that are taken. Two containers call different ports
// "http", so each one's probe has to go to its own; the application has containers
// with the agent's names, so the agent has others.
func TestSharedNames(t *testing.T) {
	container := func(name string, number int32) corev1.Container {
		return corev1.Container{Name: name, Image: name, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: number}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("http")}}}}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "quote"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{container("traffic-agent", 8080), container("other", 9090)},
			InitContainers: []corev1.Container{{Name: "traffic-agent-init"}, {Name: "traffic-agent-2"}}}}
	service := corev1.Service{Spec: corev1.ServiceSpec{Selector: pod.Labels,
		Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}, {Name: "n", Port: 81, TargetPort: intstr.FromInt32(7070)}}}}
	out, err := Sidecar(pod, Request{Services: []corev1.Service{service}, Intercepted: []v1alpha1.ResolvedPort{
		{Service: "quote", ContainerPort: 8080, ContainerPortName: "http", Protocol: "TCP"}, {Service: "quote", ContainerPort: 7070, Protocol: "TCP"}}}, config)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{8080, 9090} {
		c := out.Spec.Containers[i]
		if got := c.LivenessProbe.HTTPGet.Port; got != intstr.FromInt32(want) || c.Ports[0].Name != "" {
			t.Errorf("container %s: port %+v, probed at %s", c.Name, c.Ports[0], got.String())
		}
	}
	agent, init := out.Spec.Containers[2], out.Spec.InitContainers[2]
	if agent.Name != "traffic-agent-3" || agent.Ports[1].Name != "http" || init.Name != "traffic-agent-init-2" {
		t.Errorf("the agent is %s with ports %+v, and %s", agent.Name, agent.Ports, init.Name)
	}
	s := sidecar.Of(out)
	if s == nil || !sidecar.Covers(s, 8080, "TCP") {
		t.Errorf("the sidecar is not found: %+v", s)
	}
	if app := sidecar.Application(out); len(app.Containers) != 2 || app.Containers[0].Name != "traffic-agent" || len(app.InitContainers) != 2 {
		t.Errorf("the application is %+v", app)
	}
	out.Spec.Containers = out.Spec.Containers[:2]
	if sidecar.Of(out) != nil {
		t.Error("an annotation without the agent counts")
	}
	if got := Observe(pod).Next; got != "traffic-agent-3" {
		t.Errorf("an ephemeral agent is to be %s", got)
	}
}
