//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestPortHost: a program that does not listen on 127.0.0.1 gets the traffic as well, by the
// address that is typed with its port: on ::1, and in another network namespace of the laptop,
// as a container is. An address that nobody typed on the laptop gets nothing, and the
// application answers.
func TestPortHost(t *testing.T) {
	const box = "172.31.7.2"
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	alice.Shell("ip netns add box && ip link add box0 type veth peer name box1 netns box && ip addr add 172.31.7.1/30 dev box0 && ip link set box0 up && " +
		"ip -n box addr add " + box + "/30 dev box1 && ip -n box link set box1 up")
	t.Cleanup(func() { // the laptop lasts longer than the test
		if out, err := alice.ShCommand(context.Background(), "ip link del box0 && ip netns del box").CombinedOutput(); err != nil {
			t.Errorf("take the container away: %v: %s", err, out)
		}
	})
	six := fmt.Sprintf("[::1]:%d", says(l, alice.Space, "[::1]:0", "answered by six (laptop)\n"))
	boxed := fmt.Sprintf("%s:%d", box, says(l, alice.NetworkNamespace("box"), box+":0", "answered by box (laptop)\n"))

	// shows wants an address in what a command says, and no warning.
	shows := func(o lab.Output, address string) {
		t.Helper()
		if !strings.Contains(o.Out, address) || strings.Contains(o.Out, "nobody typed") || strings.Contains(o.Err, "nothing listens") {
			t.Errorf("%s is not shown, or something is wrong with it", address)
		}
	}
	shows(alice.Intercept("add", "quote", "--port", six+":http"), "Destination            : "+six+"\n")
	l.Eventually(quote, "six")
	shows(alice.Intercept("list", "-o", "wide"), six)

	// The object is changed by another command, as by somebody else.
	_, port, _ := strings.Cut(boxed, ":")
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/ports/0/localHost","value":%q},{"op":"replace","path":"/spec/ports/0/localPort","value":%s}]`, box, port)
	alice.Kubectl("patch", "intercept", "quote", "--type=json", "-p", patch)
	l.Eventually(quote, lab.Application)
	if o := alice.Intercept("status"); !strings.Contains(o.Out, boxed+", to which this machine does not connect") {
		t.Errorf("status does not say why")
	}
	name := strings.ReplaceAll(patch, box, "db.example.com")
	if o := alice.Try("kubectl", "patch", "intercept", "quote", "--type=json", "-p", name, "-n", l.Namespace); !o.Failed || !strings.Contains(o.Err, "localHost") {
		t.Errorf("the cluster admits a name in the place of an address")
	}

	shows(alice.Intercept("add", "quote", "--port", boxed+":http"), "Destination            : "+boxed+"\n")
	l.Eventually(quote, "box")
	shows(alice.Intercept("status"), boxed)
}
