//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// enforce sets the namespace's pod security level.
func enforce(l *lab.Lab, level string) {
	l.Helper()
	_, err := kubectl(l, "label", "namespace", l.Namespace, "--overwrite", "pod-security.kubernetes.io/enforce="+level)
	l.Must(err)
}

// quoted applies the application with so many replicas and a target port.
func quoted(l *lab.Lab, target string, replicas int, note string) (addr string) {
	l.Helper()
	l.Apply("restricted.yaml", "TARGET", target, "REPLICAS", fmt.Sprint(replicas), "NOTE", note)
	return l.Serving("quote", "http")
}

// workload is what may not change of the Deployment.
func workload(l *lab.Lab) string {
	l.Helper()
	var d appsv1.Deployment
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: "quote"}, &d))
	text, err := json.Marshal(d.Spec)
	l.Must(err)
	return fmt.Sprintf("generation %d %s", d.Generation, text)
}

// replaced waits until nothing is left of pods that were replaced.
func replaced(l *lab.Lab) {
	l.Helper()
	l.Until("replaced pods are gone", func() error {
		for _, p := range l.Pods() {
			if _, ok := p.Labels["kubectl-intercept.dev/orphaned"]; ok {
				return fmt.Errorf("pod %s is there", p.Name)
			}
		}
		return nil
	})
	l.Ready()
}

// containers are the names in a pod, init containers last.
func containers(p *corev1.Pod) (names []string) {
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		names = append(names, c.Name)
	}
	return names
}

// intact fails if a request of the stream failed.
func intact(l *lab.Lab, stream *lab.Tally) {
	l.Helper()
	answers, failures := stream.Stop()
	l.Logf("answers: %v", answers)
	if len(failures) > 0 {
		l.Errorf("%d requests failed, the first: %v", len(failures), failures[0])
	}
}

// TestSidecarRestricted: a namespace that admits restricted pods only and a
// named port. Auto takes a sidecar, which has the port's name and no privilege;
// the only pod is replaced without a gap, and the workload is not touched.
func TestSidecarRestricted(t *testing.T) {
	l := lab.New(t, clusters)
	enforce(l, "restricted")
	quote := quoted(l, "http", 1, "")
	before, first := workload(l), l.Pod().Name
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	stream := l.Stream(quote)
	o := alice.Intercept("add", "quote", "--port", program.To(""))
	l.Logf("sidecar attach took %s", o.Took)
	if !strings.Contains(o.Out, "sidecar (the pod security level of the namespace refuses an ephemeral container)") {
		t.Error("add does not say which way was taken, and why")
	}
	l.Answers(quote, "alice")
	replaced(l)
	pod := l.Pod()
	if got := containers(pod); !slices.Equal(got, []string{"quote", "traffic-agent"}) {
		t.Errorf("containers %v", got)
	}
	if pod.Name == first {
		t.Error("the pod is the same")
	}
	if n := len(pod.Spec.EphemeralContainers); n != 0 {
		t.Errorf("%d ephemeral containers", n)
	}
	l.Answers(net.JoinHostPort(pod.Status.PodIP, "8080"), lab.Application) // past the agent
	intact(l, stream)
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	if after := workload(l); after != before {
		t.Errorf("the workload has changed:\n%s\n%s", before, after)
	}
	// Again: the sidecar is there, so it is at once.
	o = alice.Intercept("add", "quote", "--port", program.To(""))
	l.Logf("attach with a sidecar that is there took %s", o.Took)
	if !strings.Contains(o.Out, "sidecar (the pods have one already)") {
		t.Error("add does not say that the sidecar was there")
	}
	l.Answers(quote, "alice")
	if again := l.Pod(); again.UID != pod.UID {
		t.Error("the pod was replaced again")
	}
}

// TestSidecarNumeric: callers who know a number are led to the agent by an init
// container, for TCP and UDP, of a Service and of the pod.
func TestSidecarNumeric(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "8080", 2, "")
	before := workload(l)
	alice := l.Laptop("alice")
	stream := l.Stream(quote)
	alice.Intercept("add", "quote", "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	replaced(l)
	for _, pod := range l.Pods() {
		if got := containers(&pod); !slices.Equal(got, []string{"quote", "traffic-agent", "traffic-agent-init"}) {
			t.Errorf("containers %v", got)
		}
	}
	l.EveryPod("8080", "alice")
	intact(l, stream)
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	l.EveryPod("8080", lab.Application)
	// The redirect goes with an agent, and the kubelet starts the agent anew. Services send
	// nobody to the pod meanwhile; others still reach the application.
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Answers(quote, "alice")
	pod := l.Pods()[0]
	stream = l.Stream(net.JoinHostPort(pod.Status.PodIP, "8080"))
	l.KillAgent(&pod)
	l.Until("the agent runs again", func() error {
		var now corev1.Pod
		if err := l.Client.Get(l.Context(), client.ObjectKeyFromObject(&pod), &now); err != nil {
			return err
		}
		for _, c := range now.Status.ContainerStatuses {
			if c.Name == "traffic-agent" && (c.RestartCount == 0 || !c.Ready) {
				return fmt.Errorf("%d restarts, ready %t", c.RestartCount, c.Ready)
			}
		}
		return nil
	})
	l.Eventually(net.JoinHostPort(pod.Status.PodIP, "8080"), "alice")
	l.Answers(quote, "alice")
	if _, failures := stream.Stop(); stream.Outage() > moment {
		t.Errorf("requests failed for %s: %v", stream.Outage(), failures)
	}
	if after := workload(l); after != before {
		t.Errorf("the workload has changed:\n%s\n%s", before, after)
	}
}

// TestSidecarNumericRestricted: the redirect needs what the namespace refuses;
// the error says so before anything is touched.
func TestSidecarNumericRestricted(t *testing.T) {
	l := lab.New(t, clusters)
	enforce(l, "restricted")
	quote := quoted(l, "8080", 1, "")
	pod := l.Pod().UID
	alice := l.Laptop("alice")
	alice.Refused([]string{"add", "quote", "--port", alice.Serve("alice").To("")},
		"refuses an ephemeral container", "callers reach port 8080/TCP by its number", "name the port in the pod template")
	l.Gone("quote")
	if l.Pod().UID != pod {
		t.Error("the pod was replaced")
	}
	l.Answers(quote, lab.Application)
}

// TestSidecarPorts is a pod with named and numeric ports, TCP and UDP.
func TestSidecarPorts(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	http, admin, dns := l.Serving("many", "http"), l.Serving("many", "admin"), l.Service("many", "dns")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	alice.Intercept("add", "many", "--service", "many", "--inject", "sidecar", "--port", program.To("http"),
		"--port", alice.Serve("alice too").To("admin"), "--port", alice.ServeUDP("alice").To("dns/udp"))
	l.Answers(http, "alice")
	l.Answers(admin, "alice too")
	ask := func(want string) {
		t.Helper()
		l.Until("a datagram is answered by "+want, func() error {
			got, err := l.Nodes[0].AskUDP(t.Context(), dns)
			if err == nil && got != want {
				err = fmt.Errorf("%s answers", got)
			}
			return err
		})
	}
	ask("alice")
	alice.Intercept("leave", "many")
	l.Answers(http, lab.Application)
	l.Answers(admin, lab.Application)
	ask(lab.Application)
}

// TestSidecarEstablished: a connection from before goes through the sidecar, so
// it can be ended for its caller to come anew.
func TestSidecarEstablished(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 1, "kubectl-intercept.dev/inject: enabled")
	ask := l.Nodes[0].Asker(quote)
	if got, err := ask(t.Context()); err != nil || got != lab.Application {
		t.Fatalf("answered by %s, %v", got, err)
	}
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	l.Until("the caller comes anew", func() error {
		got, err := ask(t.Context())
		if err == nil && got != "alice" {
			err = fmt.Errorf("%s answers", got)
		}
		return err
	})
}

// TestSidecarDisruptionBudget: a StatefulSet is evicted pod by pod, and no
// sooner than its budget allows.
func TestSidecarDisruptionBudget(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("kinds.yaml")
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "store"},
		Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &intstr.IntOrString{IntVal: 2},
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "store"}}}}
	l.Must(l.Client.Create(t.Context(), budget))
	alice := l.Laptop("alice")
	port := alice.Serve("alice").To("")
	alice.Intercept("add", "sts/store", "--inject", "sidecar", "--port", port, "--wait=false")
	l.Until("the budget is named", func() error {
		i, err := l.Get("store")
		if err == nil && !strings.Contains(i.Status.Message, "PodDisruptionBudget") {
			err = fmt.Errorf("%s: %s", i.Status.State, i.Status.Message)
		}
		return err
	})
	for _, p := range l.Pods() {
		if len(p.Spec.Containers) != 1 {
			t.Errorf("pod %s was replaced against the budget", p.Name)
		}
	}
	l.Must(l.Client.Delete(t.Context(), budget))
	l.State("store", v1alpha1.StateActive)
	l.Ready()
	for _, p := range l.Pods() {
		if p.Labels["app"] == "store" {
			l.Answers(net.JoinHostPort(p.Status.PodIP, "8080"), "alice")
		}
	}
	alice.Refused([]string{"add", "pod/bare", "--inject", "sidecar", "--port", alice.Serve("alice").To("")}, "pod bare belongs to no Deployment")
	alice.Intercept("add", "rs/set", "--inject", "sidecar", "--port", alice.Serve("alice").To(""))
	l.Answers(l.Service("set", "80"), "alice")
}

// TestSidecarLeaves: agents are removed by request, and not while they are
// needed. Sidecars go with their pods, ephemeral agents by themselves.
func TestSidecarLeaves(t *testing.T) {
	l := lab.New(t, clusters)
	quote := quoted(l, "http", 2, "")
	before := workload(l)
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	alice.Intercept("add", "quote", "--inject", "sidecar", "--port", program.To(""))
	alice.Refused([]string{"uninstall", "agent", "deploy/quote", "-n", l.Namespace}, "deployment/quote is intercepted by alice", "kubectl intercept leave quote")
	alice.Intercept("leave", "quote")
	replaced(l)
	stream := l.Stream(quote)
	o := alice.Intercept("uninstall", "agent", "deploy/quote", "-n", l.Namespace)
	if !strings.Contains(o.Out, "removed the agents from 2 pods of deployment/quote") {
		t.Error("it does not say what it did")
	}
	replaced(l)
	intact(l, stream)
	for _, p := range l.Pods() {
		if len(p.Spec.Containers) != 1 {
			t.Errorf("pod %s has containers %v", p.Name, containers(&p))
		}
	}
	if after := workload(l); after != before {
		t.Errorf("the workload has changed:\n%s\n%s", before, after)
	}
	alice.Intercept("add", "quote", "--port", program.To(""))
	l.Answers(quote, "alice")
	lives := l.Lives()
	alice.Intercept("leave", "quote")
	alice.Intercept("env", "deploy/quote")
	alice.Intercept("uninstall", "agent", "--all-agents", "-n", l.Namespace)
	for _, p := range l.Pods() {
		for _, c := range p.Status.EphemeralContainerStatuses {
			if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
				t.Errorf("the agent in pod %s: %+v", p.Name, c.State)
			}
		}
	}
	if now := l.Lives(); now != lives {
		t.Error("pods were restarted")
	}
	l.Answers(quote, lab.Application)
}
