package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// fixtures: a workload whose container declares web (8080), metrics (9090)
// and dns (5353, UDP), and a bare one.
func declared() *Workload {
	return &Workload{
		Ref: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
			{Name: "web", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090},
			{Name: "dns", ContainerPort: 5353, Protocol: corev1.ProtocolUDP},
		}}}},
	}
}

// annotated is the former with annotations on its template; ours need no prefix.
func annotated(pairs ...string) *Workload {
	w := declared()
	w.Annotations = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		key := pairs[i]
		if !strings.Contains(key, "/") {
			key = "kubectl-intercept.dev/" + key
		}
		w.Annotations[key] = pairs[i+1]
	}
	return w
}

func bare() *Workload {
	return &Workload{Ref: declared().Ref, Spec: corev1.PodSpec{Containers: []corev1.Container{{}}}}
}

// twins has two containers that give different ports the same name.
func twins() *Workload {
	w := bare()
	w.Spec.Containers = []corev1.Container{
		{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}, {Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8081}}}}
	return w
}

func service(name string, ports ...corev1.ServicePort) corev1.Service {
	s := corev1.Service{Spec: corev1.ServiceSpec{Ports: ports}}
	s.Name = name
	return s
}

func port(name string, number int32, target any) corev1.ServicePort {
	p := corev1.ServicePort{Name: name, Port: number}
	switch t := target.(type) {
	case int:
		p.TargetPort = intstr.FromInt(t)
	case string:
		p.TargetPort = intstr.FromString(t)
	}
	return p
}

func udp(p corev1.ServicePort) corev1.ServicePort {
	p.Protocol = corev1.ProtocolUDP
	return p
}

// want is the short form of a ResolvedPort.
type want struct {
	service   string
	port      int32
	name      string
	container int32
	target    string
	protocol  corev1.Protocol
}

func TestPorts(t *testing.T) {
	http := service("quote", port("http", 80, "web"))
	two := service("quote", port("http", 80, "web"), port("metrics", 9100, 9090))
	dns := service("dns", port("dns-tcp", 53, 5353), udp(port("dns", 53, 5353)))
	for name, test := range map[string]struct {
		workload *Workload
		services []corev1.Service
		service  string
		ask      string
		protocol corev1.Protocol
		want     want
		err      string
	}{
		"the only port": {declared(), []corev1.Service{http}, "", "", "",
			want{"quote", 80, "http", 8080, "web", "TCP"}, ""},
		"service port by name": {declared(), []corev1.Service{two}, "", "metrics", "",
			want{"quote", 9100, "metrics", 9090, "", "TCP"}, ""},
		"service port by number": {declared(), []corev1.Service{two}, "", "80", "",
			want{"quote", 80, "http", 8080, "web", "TCP"}, ""},
		"container port by name": {declared(), []corev1.Service{http}, "", "metrics", "",
			want{"", 0, "", 9090, "metrics", "TCP"}, ""},
		"container port by number": {declared(), []corev1.Service{http}, "", "9090", "",
			want{"", 0, "", 9090, "metrics", "TCP"}, ""},
		"a service port before a container port": {declared(), []corev1.Service{service("odd", port("odd", 9090, 8080))}, "", "9090", "",
			want{"odd", 9090, "odd", 8080, "", "TCP"}, ""},
		"no target port means the same number": {bare(), []corev1.Service{service("quote", port("", 80, nil))}, "", "80", "",
			want{"quote", 80, "", 80, "", "TCP"}, ""},
		"undeclared container port": {bare(), nil, "", "8080", "",
			want{"", 0, "", 8080, "", "TCP"}, ""},
		"undeclared UDP port": {bare(), nil, "", "5353", "UDP",
			want{"", 0, "", 5353, "", "UDP"}, ""},
		"several services, one port": {declared(), []corev1.Service{service("canary", port("http", 80, 8080)), service("stable", port("http", 80, "web"))}, "", "", "",
			want{"canary", 80, "http", 8080, "", "TCP"}, ""},
		"one of several services": {declared(), []corev1.Service{service("canary", port("http", 80, 8080)), service("stable", port("http", 80, 9090))}, "stable", "http", "",
			want{"stable", 80, "http", 9090, "", "TCP"}, ""},
		"protocol decides": {declared(), []corev1.Service{dns}, "", "53", "UDP",
			want{"dns", 53, "dns", 5353, "", "UDP"}, ""},
		"a service that leads nowhere": {declared(), []corev1.Service{service("gone", port("http", 80, "nowhere"))}, "", "web", "",
			want{"", 0, "", 8080, "web", "TCP"}, ""},
		"headless without ports": {declared(), []corev1.Service{service("headless")}, "", "web", "",
			want{"", 0, "", 8080, "web", "TCP"}, ""},

		"a number is a port's number before it is a name": {bare(), []corev1.Service{service("odd", port("8080", 80, 9090), port("http", 8080, 7070))}, "", "8080", "",
			want{"odd", 8080, "http", 7070, "", "TCP"}, ""},
		"a name of digits": {bare(), []corev1.Service{service("odd", port("8443", 443, 9090))}, "", "8443", "",
			want{"odd", 443, "8443", 9090, "", "TCP"}, ""},

		"a number that nobody declares": {declared(), []corev1.Service{http}, "", "5005", "",
			want{"", 0, "", 5005, "", "TCP"}, ""},
		"a declared number, the other protocol": {declared(), []corev1.Service{http}, "", "8080", "UDP",
			want{"", 0, "", 8080, "", "UDP"}, ""},
		"annotated Service": {annotated("service-name", "stable"), []corev1.Service{service("canary", port("http", 80, 8080)), service("stable", port("http", 80, 9090))}, "", "", "",
			want{"stable", 80, "http", 9090, "", "TCP"}, ""},
		"annotated Service port, another spelling": {annotated("telepresence.io/inject-service-ports", "metrics"), []corev1.Service{two}, "", "", "",
			want{"quote", 9100, "metrics", 9090, "", "TCP"}, ""},
		"annotated Service port by its container port": {annotated("service-ports", "9100"), []corev1.Service{two}, "", "9090", "",
			want{"quote", 9100, "metrics", 9090, "", "TCP"}, ""},
		"annotated container port": {annotated("container-ports", "5005"), []corev1.Service{two}, "", "5005", "",
			want{"", 0, "", 5005, "", "TCP"}, ""},
		"annotated container port beside an annotated Service port": {annotated("container-ports", "dns/udp", "service-ports", "http"), []corev1.Service{two}, "", "dns", "",
			want{"", 0, "", 5353, "dns", "UDP"}, ""},

		"not the annotated Service": {workload: annotated("service-name", "stable"), services: []corev1.Service{http, service("stable", port("http", 80, 9090))}, service: "quote", ask: "http",
			err: "service/quote of deployment/quote cannot be intercepted: the annotation service-name of its pod template admits service/stable only"},
		"the annotated Service is another's": {workload: annotated("service-name", "stable"), services: []corev1.Service{http}, ask: "http",
			err: "the annotation service-name of deployment/quote names service/stable, which does not select its pods"},
		"not the annotated port": {workload: annotated("service-ports", "http"), services: []corev1.Service{two}, ask: "metrics",
			err: `the annotations of deployment/quote do not admit port "metrics"; choose one of: http (80, service/quote), web (8080, container port)`},
		"not the annotated number": {workload: annotated("service-ports", "http"), services: []corev1.Service{two}, ask: "5005",
			err: `the annotations of deployment/quote do not admit port "5005"; choose one of: http (80, service/quote), web (8080, container port)`},
		"annotated nonsense": {workload: annotated("container-ports", "nothere"), ask: "web",
			err: `deployment/quote: annotation container-ports: the pod has no port "nothere"`},
		"a Service that leads nowhere, by its number": {workload: declared(), services: []corev1.Service{service("gone", port("http", 80, "nowhere"))}, ask: "80",
			err: `port http of service/gone leads to a port named "nowhere", which no container of deployment/quote has; choose one of: web (8080, container port), metrics (9090, container port), dns (5353, container port, UDP)`},
		"several ports": {workload: declared(), services: []corev1.Service{two},
			err: "deployment/quote has several ports; choose one of: http (80, service/quote), metrics (9100, service/quote)"},
		"several container ports": {workload: declared(),
			err: "deployment/quote has several ports; choose one of: web (8080, container port), metrics (9090, container port), dns (5353, container port, UDP)"},
		"unknown name": {workload: declared(), services: []corev1.Service{http}, ask: "grpc",
			err: `deployment/quote has no port "grpc"; choose one of: http (80, service/quote), web (8080, container port), metrics (9090, container port), dns (5353, container port, UDP)`},
		"wrong protocol": {workload: declared(), ask: "web", protocol: "UDP",
			err: `port "web" of deployment/quote is a TCP port, not UDP; choose one of: web (8080, container port)`},
		"nothing to choose from": {workload: bare(),
			err: "deployment/quote has no Service and declares no container port: name the port its application listens on with --port LOCAL:PORT"},
		"no such protocol": {workload: twins(), protocol: "UDP",
			err: `deployment/quote has no UDP port; choose one of: 8080 (named "web", container port), 8081 (named "web", container port)`},
		"only another protocol": {workload: declared(), services: []corev1.Service{http}, ask: "80", protocol: "UDP",
			err: `port "80" of deployment/quote is a TCP port, not UDP; choose one of: http (80, service/quote)`},
		"a name that is another's number": {workload: bare(), services: []corev1.Service{service("odd", port("8080", 80, 9090), port("http", 8080, 7070))},
			err: `deployment/quote has several ports; choose one of: 80 (named "8080", service/odd), http (8080, service/odd)`},
		"a container port behind a Service port of its name": {workload: declared(), services: []corev1.Service{service("quote", port("web", 80, 9090))}, ask: "x",
			err: `deployment/quote has no port "x"; choose one of: web (80, service/quote), 8080 (named "web", container port), metrics (9090, container port), dns (5353, container port, UDP)`},
		"two containers": {workload: twins(), ask: "web",
			err: `port "web" of deployment/quote is ambiguous; choose one of: 8080 (named "web", container port), 8081 (named "web", container port)`},
		"TCP and UDP apart": {workload: bare(), services: []corev1.Service{service("dns", port("", 53, 5353), udp(port("", 53, 5354)))}, ask: "53",
			err: `port "53" of deployment/quote exists for TCP and for UDP: say 53/tcp or 53/udp; choose one of: 53/tcp (service/dns), 53/udp (service/dns, UDP)`},
		"no Service to choose": {workload: bare(), service: "other",
			err: "service/other does not select the pods of deployment/quote, and no other Service does"},
		"TCP and UDP": {workload: declared(), services: []corev1.Service{dns}, ask: "53",
			err: `port "53" of deployment/quote exists for TCP and for UDP: say 53/tcp or 53/udp; choose one of: dns-tcp (53, service/dns), dns (53, service/dns, UDP)`},
		"several services, several ports": {workload: declared(), services: []corev1.Service{service("a", port("http", 80, 8080)), service("b", port("http", 80, 9090))}, ask: "http",
			err: `port "http" of deployment/quote is ambiguous: pick the Service with --service; choose one of: http (80, service/a), http (80, service/b)`},
		"a service of another workload": {workload: declared(), services: []corev1.Service{http}, service: "other",
			err: "service/other does not select the pods of deployment/quote; choose one of: quote"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Ports(test.workload, test.services, test.service,
				[]v1alpha1.InterceptPort{{Port: test.ask, Protocol: test.protocol, LocalHost: "127.0.0.1", LocalPort: 1}})
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("got %v, error\n%v\nwant\n%s", got, err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p := got[0]
			short := want{p.Service, p.ServicePort, p.ServicePortName, p.ContainerPort, p.ContainerPortName, p.Protocol}
			if d := cmp.Diff(test.want, short, cmp.AllowUnexported(want{})); d != "" {
				t.Error(d)
			}
			if p.LocalHost != "127.0.0.1" || p.LocalPort != 1 {
				t.Errorf("local side is %s:%d", p.LocalHost, p.LocalPort)
			}
		})
	}
}

func TestPortsTwice(t *testing.T) {
	_, err := Ports(declared(), []corev1.Service{service("quote", port("http", 80, "web"))}, "", []v1alpha1.InterceptPort{
		{Port: "http", LocalPort: 1}, {Port: "8080", LocalPort: 2}})
	if err == nil || err.Error() != "two --port flags lead to port 8080 of deployment/quote" {
		t.Error(err)
	}
}

func TestIdentifierResolvesToItself(t *testing.T) {
	services := []corev1.Service{service("quote", port("http", 80, "web"), port("", 9100, 9090))}
	for _, ask := range []string{"http", "80", "9100", "web", "metrics", "9090"} {
		first, err := Ports(declared(), services, "", []v1alpha1.InterceptPort{{Port: ask}})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Ports(declared(), services, "", []v1alpha1.InterceptPort{{Port: Identifier(first[0]), Protocol: first[0].Protocol}})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(first, again); d != "" {
			t.Errorf("%s: %s", ask, d)
		}
	}
}

// A Service that Argo Rollouts has pointed at one revision is one of every
// revision; others are taken at their word.
func TestSelects(t *testing.T) {
	for name, test := range map[string]struct {
		selector, pod map[string]string
		want          bool
	}{
		"template":         {map[string]string{"app": "quote", revisionLabel: "1"}, map[string]string{"app": "quote"}, true},
		"another revision": {map[string]string{"app": "quote", revisionLabel: "1"}, map[string]string{"app": "quote", revisionLabel: "2"}, true},
		"another app":      {map[string]string{"app": "quote", revisionLabel: "1"}, map[string]string{"app": "news", revisionLabel: "1"}, false},
		"nothing else":     {map[string]string{revisionLabel: "1"}, map[string]string{revisionLabel: "1"}, false},
		"no selector":      {nil, map[string]string{"app": "quote"}, false},
		"plain":            {map[string]string{"app": "quote"}, map[string]string{"app": "quote", "tier": "web"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Service{Spec: corev1.ServiceSpec{Selector: test.selector}}
			if got := Selects(s, test.pod); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// A number that nobody declares is told apart, so that a typing error shows.
func TestDeclares(t *testing.T) {
	w, services := annotated("container-ports", "6006"), []corev1.Service{service("quote", port("http", 80, "web"))}
	for ask, want := range map[string]bool{"http": true, "80": true, "9090": true, "web": true, "6006": true, "5005": false} {
		p, err := Ports(w, services, "", []v1alpha1.InterceptPort{{Port: ask}})
		if err != nil {
			t.Fatal(err)
		}
		if got := Declares(w, p[0]); got != want {
			t.Errorf("%s: %t", ask, got)
		}
	}
}

func TestObstacle(t *testing.T) {
	for _, tt := range []struct {
		change func(*Workload)
		want   string
	}{
		{func(*Workload) {}, ""},
		{func(w *Workload) { w.Spec.HostNetwork = true }, "its pods use the network of their node"},
		{func(w *Workload) { w.Annotations = map[string]string{"kubectl-intercept.dev/inject": "enabled"} }, ""},
		{func(w *Workload) { w.Annotations = map[string]string{"kubectl-intercept.dev/inject": "disabled"} }, "disabled by annotation kubectl-intercept.dev/inject"},
		{func(w *Workload) {
			w.Annotations = map[string]string{"telepresence.getambassador.io/inject-traffic-agent": "disabled"}
		}, "disabled by annotation telepresence.getambassador.io/inject-traffic-agent"},
		{func(w *Workload) { w.Annotations = map[string]string{"telepresence.io/inject-traffic-agent": "off"} }, `annotation telepresence.io/inject-traffic-agent is "off": use enabled or disabled`},
	} {
		w := declared()
		tt.change(w)
		if got := Obstacle(w); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
