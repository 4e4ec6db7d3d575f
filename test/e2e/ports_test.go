//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestPorts names the ports of one workload in every way there is. Adding
// again changes the intercept in place: ports that are not named any more go
// back to the application.
func TestPorts(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	named, numeric := l.Serving("many", "http"), l.Serving("many", "admin")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")

	alice.Refused([]string{"add", "many", "--port", program.To("")},
		"deployment/many has several ports", "http (80, service/many)", "dns (53, service/many, UDP)", "for example --port")
	alice.Intercept("add", "many", "--port", program.To("81"))
	l.Answers(numeric, "alice")
	l.Answers(named, lab.Application)
	before, err := l.Get("many")
	l.Must(err)

	alice.Intercept("add", "svc/many", "--port", program.To("http"), "--service", "many")
	l.Answers(named, "alice")
	l.Eventually(numeric, lab.Application)
	after, err := l.Get("many")
	l.Must(err)
	if after.UID != before.UID {
		t.Error("adding again made another intercept")
	}

	other := alice.Serve("alice too")
	alice.Intercept("add", "many", "--service", "many", "--port", program.To("http"), "--port", other.To("admin"))
	l.Answers(named, "alice")
	l.Answers(numeric, "alice too")

	pod := l.Pod().Status.PodIP
	alice.Intercept("add", "many", "--port", program.To("debug"))
	l.Answers(net.JoinHostPort(pod, "8082"), "alice")
	l.Eventually(named, lab.Application)
	l.Eventually(numeric, lab.Application)

	alice.Intercept("leave", "many")
	l.Answers(net.JoinHostPort(pod, "8082"), lab.Application)
}

// TestService chooses one of two Services that both have a port "http".
func TestService(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	first, second := l.Serving("many", "http"), l.Serving("many-too", "http")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	alice.Refused([]string{"add", "many", "--port", program.To("http")},
		`port "http" of deployment/many is ambiguous: pick the Service with --service`, "service/many-too")
	alice.Refused([]string{"add", "many", "--service", "none", "--port", program.To("http")},
		"service/none does not select the pods of deployment/many", "many-too")
	alice.Intercept("add", "many", "--service", "many-too", "--port", program.To("http"))
	l.Answers(second, "alice")
	l.Answers(first, lab.Application)
	alice.Intercept("leave", "svc/many-too")
	l.Answers(second, lab.Application)
	alice.Intercept("add", "svc/many-too", "--port", program.To(""))
	l.Answers(second, "alice")
}

// TestUDP intercepts datagrams together with a TCP port.
func TestUDP(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	http, dns := l.Serving("many", "http"), l.Service("many", "dns")
	ask := func() string {
		t.Helper()
		var got string
		l.Until("a datagram is answered", func() (err error) {
			got, err = l.Nodes[0].AskUDP(t.Context(), dns)
			return err
		})
		return got
	}
	if got := ask(); got != lab.Application {
		t.Fatalf("answered by %s before the intercept", got)
	}
	alice := l.Laptop("alice")
	alice.Intercept("add", "many", "--service", "many", "--port", alice.ServeUDP("alice").To("dns/udp"), "--port", alice.Serve("alice").To("http"))
	if got := ask(); got != "alice" {
		t.Errorf("a datagram is answered by %s", got)
	}
	l.Answers(http, "alice")
	l.Until("the datagrams are counted", func() error { return counted(l, "many", 2) })
	alice.Intercept("leave", "many")
	if got := ask(); got != lab.Application {
		t.Errorf("answered by %s after leave", got)
	}
	l.Answers(http, lab.Application)
}

// counted says whether at least so many connections are in the status.
func counted(l *lab.Lab, name string, n int64) error {
	i, err := l.Get(name)
	if err == nil && i.Status.Connections < n {
		err = fmt.Errorf("the status counts %d, want %d", i.Status.Connections, n)
	}
	return err
}
