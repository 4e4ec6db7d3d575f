//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// outsideAt is a Service for something outside of the cluster.
func outsideAt(l *lab.Lab, namespace, name, host string, port int32) {
	l.Helper()
	l.Must(l.Client.Create(l.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Port: port}}}}))
	l.Must(l.Client.Create(l.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: ptr.To(port)}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{host}}}}))
}

// says is an HTTP server with one answer.
func says(l *lab.Lab, s *lab.Space, addr, text string) int32 {
	l.Helper()
	ln, err := s.Listen(addr)
	l.Must(err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, text)
	})}
	go server.Serve(ln)
	l.Cleanup(func() { server.Close() })
	return int32(ln.Addr().(*net.TCPAddr).Port)
}

// TestElsewhere: names of the cluster that lead out of its networks are reached as
// a pod reaches them, where the user may: something outside behind a headless
// Service, a pod on its node's network. Where the user may not go through the
// cluster, the laptop's own way is taken, and status tells what neither reaches.
func TestElsewhere(t *testing.T) {
	c := connected(t)
	defer c.end()
	l := c.Lab
	var nodes corev1.NodeList
	l.Must(l.Client.List(t.Context(), &nodes))
	host := nodes.Items[1].Status.Addresses[0].Address
	port := says(l, l.Nodes[1], net.JoinHostPort(host, "0"), "from outside")
	outsideAt(l, l.Namespace, "database", host, port)
	l.ApplyText(`
apiVersion: v1
kind: Pod
metadata: {name: on-node, labels: {app: on-node}}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: quote
    image: kubectl-intercept.dev/test/quote:dev
    args: [-listen=:18080, -name=the node]
    ports: [{containerPort: 18080}]
---
apiVersion: v1
kind: Service
metadata: {name: on-node}
spec:
  clusterIP: None
  selector: {app: on-node}
  ports: [{port: 18080}]
`)
	// Out of alice's reach through the cluster; one of them the laptop reaches.
	others := l.NewNamespace(nil)
	outsideAt(l, others, "bank", host, port+1)
	l.Must(l.Client.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "bank"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "bank." + others + ".svc.cluster.local"}}))
	near := says(l, c.Space, "0.0.0.0:0", "from the laptop")
	addrs := strings.Fields(c.shell("hostname -I"))
	if len(addrs) == 0 {
		t.Fatal("the laptop has no address")
	}
	outsideAt(l, others, "near", addrs[0], near)
	l.Must(l.Client.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "near"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "near." + others + ".svc.cluster.local"}}))

	reached := func(target, want string) {
		t.Helper()
		l.Until(target+" is reached", func() error {
			out, err := c.command("curl -sS --max-time 20 http://" + target).CombinedOutput()
			if err == nil && !strings.HasPrefix(string(out), want) {
				err = errors.New("another answer")
			}
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	reached(fmt.Sprintf("database.%s:%d", l.Namespace, port), "from outside")
	reached(fmt.Sprintf("on-node.%s:18080", l.Namespace), "answered by the node")
	reached(fmt.Sprintf("near.%s:%d", l.Namespace, near), "from the laptop")
	target := fmt.Sprintf("bank.%s:%d", l.Namespace, port+1)
	l.Until("status tells what was not reached", func() error {
		if err := c.command("curl -sS --max-time 20 http://" + target).Run(); err == nil {
			return errors.New("it is reached")
		}
		out, err := c.RunQuiet("status")
		if err == nil && !(strings.Contains(out, fmt.Sprintf("%s:%d", host, port+1)) && strings.Contains(out, "nor does this machine reach it itself")) {
			err = errors.New(out)
		}
		return err
	})
	// A proxy does the same.
	web := browser(c.Laptop, proxyOf(c.Laptop))
	if code, body, err := visit(web, fmt.Sprintf("http://near:%d", near)); err != nil || code != http.StatusOK || body != "from the laptop" {
		t.Errorf("by the proxy: %d %q, %v", code, body, err)
	}
	// And so does the network of a program.
	for target, want := range map[string]string{
		fmt.Sprintf("database.%s:%d", l.Namespace, port): "from outside",
		fmt.Sprintf("on-node.%s:18080", l.Namespace):     "answered by the node",
		fmt.Sprintf("near.%s:%d", l.Namespace, near):     "from the laptop",
	} {
		if out := c.Intercept("run", "--", "sh", "-c", "curl -sS --max-time 20 $0", "http://"+target).Out; !strings.HasPrefix(out, want) {
			t.Errorf("run gets %q of %s", out, target)
		}
	}
}

// TestCrashEndsConnections: when the session is killed, connections that were
// open over the TUN break at once, and do not wait for their own time-outs.
func TestCrashEndsConnections(t *testing.T) {
	c := connected(t)
	defer c.end()
	conn, err := c.Dial(t.Context(), "tcp", c.quote)
	c.Must(err)
	defer conn.Close()
	_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: quote\r\n\r\n")
	c.Must(err)
	buf := make([]byte, 4096)
	if _, err := conn.Read(buf); err != nil {
		t.Fatal(err)
	}
	c.killSession()
	c.Must(conn.SetReadDeadline(time.Now().Add(lab.Patience)))
	if _, err := conn.Read(buf); !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection over a TUN that is gone: %v", err)
	}
	c.Intercept("connect")
	c.works()
}
