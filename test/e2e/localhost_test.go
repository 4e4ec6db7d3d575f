//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestLocalhost6: programs that listen on localhost by its IPv6 address only are
// found, by TCP and by UDP, and add does not say that there are none.
func TestLocalhost6(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("ports.yaml")
	named, datagrams := l.Serving("many", "http"), l.Service("many", "dns")
	alice := l.Laptop("alice")
	program := says(l, alice.Space, "[::1]:0", "answered by alice (laptop)\n")
	answers := alice.ServeUDPOn("[::1]:0", "alice")
	o := alice.Intercept("add", "many", "--service", "many", "--port", fmt.Sprintf("%d:http", program),
		"--port", answers.To("dns/udp"))
	if strings.Contains(o.Err, "nothing listens") {
		t.Errorf("add says %s", o.Err)
	}
	l.Answers(named, "alice")
	if who, err := l.Nodes[0].AskUDP(t.Context(), datagrams); err != nil || who != "alice" {
		t.Errorf("datagrams are answered by %q, %v", who, err)
	}
}
