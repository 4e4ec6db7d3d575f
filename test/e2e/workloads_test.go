//go:build e2e

package e2e

import (
	"net"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestReplicas intercepts every replica, on both nodes, whichever way callers
// come: through the Service or to the pod itself.
func TestReplicas(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("replicas.yaml")
	quote, lives := l.Serving("quote", "http"), l.Lives()
	nodes := map[string]bool{}
	for _, p := range l.Pods() {
		nodes[p.Spec.NodeName] = true
	}
	if len(nodes) != 2 {
		t.Fatalf("the replicas are on %v, want two nodes", nodes)
	}
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	for range 10 {
		l.Answers(quote, "alice")
	}
	l.EveryPod("8080", "alice")
	i, err := l.Get("quote")
	l.Must(err)
	if len(i.Status.Pods) != 3 {
		t.Errorf("the status lists %d pods, want 3", len(i.Status.Pods))
	}
	alice.Intercept("leave", "quote")
	l.EveryPod("8080", lab.Application)
	idle(l, lives)
}

// TestKinds intercepts a StatefulSet behind a headless Service, a ReplicaSet
// and a bare Pod, all at once and by one session.
func TestKinds(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("kinds.yaml")
	set, lives := l.Serving("set", "80"), l.Lives()
	alice := l.Laptop("alice")
	store, rs, bare := alice.Serve("store"), alice.Serve("set"), alice.Serve("bare")
	alice.Intercept("add", "sts/store", "--port", store.To("http"))
	alice.Intercept("add", "rs/set", "--port", rs.To("80"))
	alice.Intercept("add", "pod/bare", "--port", bare.To("http"))
	l.Answers(set, "set")
	everybody := func(want func(p *corev1.Pod) string) {
		t.Helper()
		for _, p := range l.Pods() {
			l.Answers(net.JoinHostPort(p.Status.PodIP, "8080"), want(&p))
		}
	}
	everybody(func(p *corev1.Pod) string {
		if p.Name == "bare" {
			return "bare"
		}
		return p.OwnerReferences[0].Name
	})
	if n := len(alice.Sessions()); n != 1 {
		t.Errorf("%d session processes, want one for all intercepts", n)
	}
	alice.Refused([]string{"add", "rs/set", "--port", store.To("80")}, "is already used by your intercept", "store")
	alice.Intercept("leave", "--all")
	everybody(func(*corev1.Pod) string { return lab.Application })
	idle(l, lives)
}

// TestListening meets applications that listen on the pod's address only, and
// on IPv4 only: the agent has to find them when the laptop does not answer.
func TestListening(t *testing.T) {
	for name, listen := range map[string]string{"pod IP": "$(POD_IP):8080", "IPv4": "0.0.0.0:8080"} {
		t.Run(name, func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("pod.yaml", "LISTEN", listen)
			quote := l.Serving("quote", "http")
			alice := l.Laptop("alice")
			program := alice.Serve("alice")
			alice.Intercept("add", "pod/quote", "--port", program.To("http"))
			l.Answers(quote, "alice")
			program.Close()
			l.Answers(quote, lab.Application)
			alice.Intercept("leave", "quote")
			l.Answers(quote, lab.Application)
			l.Gone("quote")
		})
	}
}

// TestNoPods adds an intercept to a workload that has no pod yet: it begins
// with the first.
func TestNoPods(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("replicas.yaml", "replicas: 3", "replicas: 0")
	alice := l.Laptop("alice")
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To("http"), "--wait=false")
	l.State("quote", v1alpha1.StateWaiting)
	scale(l, 1)
	l.State("quote", v1alpha1.StateActive)
	l.EveryPod("8080", "alice")
}
