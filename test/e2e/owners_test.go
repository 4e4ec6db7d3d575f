//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// ownedBy says whether a pod is of the workload of shared.yaml with this name.
func ownedBy(p *corev1.Pod, name string) bool {
	if p.Labels["component"] != "" {
		return name == map[string]string{"worker": "shop-worker", "daemon": "daemon", "job": "job"}[p.Labels["component"]]
	}
	return name == "shop"
}

// everyPod waits until each pod of shared.yaml answers as its owner is said to, at
// the port that has a name if one has: a sidecar may have taken that over.
func everyPod(l *lab.Lab, who map[string]string) {
	l.Helper()
	for _, p := range l.Pods() {
		port := "8080"
		for _, c := range p.Spec.Containers {
			for _, cp := range c.Ports {
				if cp.Name != "" {
					port = fmt.Sprint(cp.ContainerPort)
				}
			}
		}
		for name, answer := range who {
			if ownedBy(&p, name) {
				l.Answers(net.JoinHostPort(p.Status.PodIP, port), answer)
			}
		}
	}
}

// agents is how many agents were ever brought into the pods of a workload.
func agents(l *lab.Lab, name string) (n int) {
	l.Helper()
	for _, p := range l.Pods() {
		if ownedBy(&p, name) {
			n += len(p.Spec.EphemeralContainers)
		}
	}
	return n
}

// naming is an EndpointSlice that somebody wrote, of a Service without a selector. It
// names the pods of workloads.
func naming(l *lab.Lab, service string, workloads ...string) *discoveryv1.EndpointSlice {
	l.Helper()
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: service,
		Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(8080)), Protocol: ptr.To(corev1.ProtocolTCP)}}}
	for _, p := range l.Pods() {
		if slices.ContainsFunc(workloads, func(n string) bool { return ownedBy(&p, n) }) {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{p.Status.PodIP},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID}})
		}
	}
	return s
}

// podsOf are the names of a workload's pods.
func podsOf(l *lab.Lab, names ...string) (all []string) {
	l.Helper()
	for _, p := range l.Pods() {
		if slices.ContainsFunc(names, func(n string) bool { return ownedBy(&p, n) }) {
			all = append(all, p.Name)
		}
	}
	slices.Sort(all)
	return all
}

// TestSharedLabels: a workload's pods are those that it owns, not all that have
// its labels; a Service has all that it selects.
func TestSharedLabels(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("shared.yaml")
	apps := map[string]string{"shop": "shop", "shop-worker": "worker", "daemon": "daemon", "job": "job"}
	alice, bob := l.Laptop("alice"), l.Laptop("bob")

	alice.Intercept("add", "deploy/shop", "--port", alice.Serve("alice").To("http"))
	bob.Intercept("add", "deploy/shop-worker", "--port", bob.Serve("bob").To("http"))
	everyPod(l, map[string]string{"shop": "alice", "shop-worker": "bob", "daemon": "daemon", "job": "job"})
	if n := agents(l, "daemon") + agents(l, "job"); n != 0 {
		t.Errorf("%d agents in pods that nobody intercepts", n)
	}
	bob.Intercept("leave", "--all")
	everyPod(l, map[string]string{"shop": "alice", "shop-worker": "worker"})
	alice.Intercept("leave", "--all")
	everyPod(l, apps)

	// DaemonSets and Jobs, by their names.
	out := alice.Intercept("list").Out
	for _, line := range []string{"daemonset/daemon ", "job/job "} {
		if !strings.Contains(out, line) {
			t.Errorf("list has no %s", line)
		}
	}
	alice.Intercept("add", "ds/daemon", "--port", alice.Serve("alice").To("web"))
	bob.Intercept("add", "job/job", "--port", bob.Serve("bob").To("8080"))
	everyPod(l, map[string]string{"shop": "shop", "shop-worker": "worker", "daemon": "alice", "job": "bob"})
	alice.Intercept("leave", "--all")
	bob.Intercept("leave", "--all")
	everyPod(l, apps)

	// What the Service selects, as far as it has the port: the daemon has none
	// of that name, the job none at all.
	before := agents(l, "daemon")
	o := alice.Intercept("add", "svc/shop", "--port", alice.Serve("alice").To(""))
	if !strings.Contains(o.Err, "service/shop selects pods of daemonset/daemon, deployment/shop, deployment/shop-worker and job/job") {
		t.Error("add does not say whose pods these are")
	}
	everyPod(l, map[string]string{"shop": "alice", "shop-worker": "alice", "daemon": "daemon", "job": "job"})
	if n := agents(l, "daemon"); n != before {
		t.Errorf("%d agents were brought into pods without the port", n-before)
	}
	alice.Intercept("leave", "--all")

	// What the EndpointSlices of a Service without a selector name.
	l.Must(l.Client.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "named"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}}}))
	l.Must(l.Client.Create(t.Context(), naming(l, "named", "shop", "daemon")))
	alice.Intercept("add", "svc/named", "--port", alice.Serve("alice").To(""))
	everyPod(l, map[string]string{"shop": "alice", "shop-worker": "worker", "daemon": "alice", "job": "job"})
	alice.Intercept("leave", "--all")

	// Sidecars, into no other pods.
	others := podsOf(l, "shop-worker", "daemon", "job")
	alice.Intercept("add", "deploy/shop", "--inject", "sidecar", "--port", alice.Serve("alice").To("http"))
	replaced(l)
	everyPod(l, map[string]string{"shop": "alice", "shop-worker": "worker", "daemon": "daemon", "job": "job"})
	if now := podsOf(l, "shop-worker", "daemon", "job"); !slices.Equal(now, others) {
		t.Errorf("other workloads' pods were %v, are %v", others, now)
	}
	for _, p := range l.Pods() {
		if ownedBy(&p, "shop") && !requestsCPU(&p, "traffic-agent") {
			t.Error("the sidecar requests no CPU, and an HPA would be blind")
		}
	}
	alice.Intercept("leave", "--all")
	alice.Intercept("add", "ds/daemon", "--inject", "sidecar", "--port", alice.Serve("alice").To("web"))
	replaced(l)
	everyPod(l, map[string]string{"shop": "shop", "shop-worker": "worker", "daemon": "alice", "job": "job"})
	alice.Intercept("leave", "--all")
	everyPod(l, apps)
}

func requestsCPU(p *corev1.Pod, container string) bool {
	return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
		return c.Name == container && !c.Resources.Requests.Cpu().IsZero()
	})
}

// TestUndeclaredPort: what containers declare is only for information. A port
// of which nobody knows is said to be one, for it may be a typing error.
func TestUndeclaredPort(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("shared.yaml")
	alice := l.Laptop("alice")
	o := alice.Intercept("add", "deploy/shop", "--port", alice.Serve("alice").To("5005"))
	if !strings.Contains(o.Err, "no Service and no container of deployment/shop declares port 5005") {
		t.Error("add does not say that nobody declares the port")
	}
	for _, p := range l.Pods() {
		if ownedBy(&p, "shop") {
			l.Answers(net.JoinHostPort(p.Status.PodIP, "5005"), "alice")
			l.Answers(net.JoinHostPort(p.Status.PodIP, "8080"), "shop")
		}
	}
	alice.Intercept("leave", "--all")
	// The same by an annotation, and by a sidecar.
	annotate(l, "deploy/shop", `"telepresence.io/inject-container-ports":"5005"`)
	o = alice.Intercept("add", "deploy/shop", "--inject", "sidecar", "--port", alice.Serve("alice").To("5005"))
	if strings.Contains(o.Err, "declares port 5005") {
		t.Error("add warns of a port that an annotation names")
	}
	replaced(l)
	for _, p := range l.Pods() {
		if ownedBy(&p, "shop") {
			l.Answers(net.JoinHostPort(p.Status.PodIP, "5005"), "alice")
			l.Answers(net.JoinHostPort(p.Status.PodIP, "8080"), "shop")
		}
	}
}

// annotate sets annotations of a workload's pods, which are replaced then.
func annotate(l *lab.Lab, workload, annotations string) {
	l.Helper()
	_, err := kubectl(l, "patch", workload, "-n", l.Namespace, "-p", `{"spec":{"template":{"metadata":{"annotations":{`+annotations+`}}}}}`)
	l.Must(err)
	_, err = kubectl(l, "rollout", "status", workload, "-n", l.Namespace)
	l.Must(err)
	l.Ready()
}

// TestAnnotationsAdmit: what the owner of a workload says about it holds for
// ephemeral agents too.
func TestAnnotationsAdmit(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	alice := l.Laptop("alice")
	port := alice.Serve("alice")
	annotate(l, "deploy/many", `"telepresence.getambassador.io/inject-service-name":"many","kubectl-intercept.dev/service-ports":"admin"`)
	alice.Refused([]string{"add", "many", "--port", port.To("debug")}, `the annotations of deployment/many do not admit port "debug"`)
	alice.Refused([]string{"add", "many", "--service", "many-too", "--port", port.To("http")}, "admits service/many only")
	alice.Intercept("add", "many", "--port", port.To("")) // one of many without them
	l.Answers(l.Service("many", "admin"), "alice")
	l.Answers(l.Service("many", "http"), lab.Application)
	alice.Intercept("leave", "--all")

	annotate(l, "deploy/many", `"kubectl-intercept.dev/inject":"disabled"`)
	const says = "disabled by annotation kubectl-intercept.dev/inject"
	alice.Refused([]string{"add", "many", "--port", port.To("admin")}, says)
	alice.Refused([]string{"add", "svc/many", "--port", port.To("admin")}, says)
	alice.Refused([]string{"add", "pod/" + l.Pod().Name, "--port", port.To("admin")}, says)
	if out := alice.Intercept("list").Out; !strings.Contains(out, "not interceptable: "+says) {
		t.Error("list does not say so")
	}
	if n := len(l.Pod().Spec.EphemeralContainers); n != 0 {
		t.Errorf("%d agents in the pod", n)
	}
}

// TestSidecarNames: two containers that give one name to different ports, and
// one that is named as the agent is.
func TestSidecarNames(t *testing.T) {
	l := lab.New(t, clusters)
	l.ApplyText(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: quote}
spec:
  selector: {matchLabels: {app: quote}}
  template:
    metadata: {labels: {app: quote}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: traffic-agent
        image: kubectl-intercept.dev/test/quote:dev
        args: [-listen=:8080]
        ports: [{name: http, containerPort: 8080}]
        livenessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, timeoutSeconds: 5}
      - name: other
        image: kubectl-intercept.dev/test/quote:dev
        args: [-listen=:9090, -name=other]
        ports: [{name: http, containerPort: 9090}]
        livenessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, timeoutSeconds: 5}
---
apiVersion: v1
kind: Service
metadata: {name: quote}
spec:
  selector: {app: quote}
  ports: [{name: http, port: 80, targetPort: http}]
`)
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	alice.Intercept("leave", "quote")
	alice.Intercept("add", "quote", "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	replaced(l)
	pod := l.Pod()
	if got := containers(pod); !slices.Equal(got, []string{"traffic-agent", "other", "traffic-agent-2"}) {
		t.Errorf("containers %v", got)
	}
	for name, port := range map[string]int{"traffic-agent": 8080, "other": 9090} {
		i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })
		if got := pod.Spec.Containers[i].LivenessProbe.HTTPGet.Port.IntValue(); got != port {
			t.Errorf("the probe of container %s goes to %d", name, got)
		}
	}
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	alice.Intercept("uninstall", "agent", "quote", "-n", l.Namespace)
	replaced(l)
	if got := containers(l.Pod()); !slices.Equal(got, []string{"traffic-agent", "other"}) {
		t.Errorf("containers %v", got)
	}
	if metav1.GetControllerOf(l.Pod()) == nil {
		t.Error("nobody owns the pod")
	}
}
