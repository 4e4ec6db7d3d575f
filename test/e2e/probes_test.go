//go:build e2e

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestProbes: every probe that a pod declares stays with the application, by
// either kind of agent, while the program on the laptop takes connections and
// answers none, as one in a debugger does. Others reach the laptop.
func TestProbes(t *testing.T) {
	l := lab.New(t, clusters)
	l.LoadTools()
	l.Apply("probed.yaml")
	alice := l.Laptop("alice")
	var arrived atomic.Int32
	add := []string{"add", "probed", "--timeout", "2m"}
	for _, port := range []string{"http", "https", "grpc", "native"} {
		stopped := alice.Listen(func(c net.Conn) {
			arrived.Add(1)
			defer c.Close()
			_, _ = io.Copy(io.Discard, c) // until the caller has enough
		})
		add = append(add, "--port", stopped.To(port))
	}
	for _, inject := range []string{"ephemeral", "sidecar"} {
		o := alice.Intercept(append(add, "--inject", inject)...)
		if strings.Contains(o.Err, " probe of container ") {
			t.Errorf("%s: add warns of probes that the agent knows: %s", inject, o.Err)
		}
		l.Ready()
		pod, lives, before := l.Pod(), l.Lives(), arrived.Load()
		l.Throughout(8*time.Second, inject+": the pod lives and is ready", func() error {
			if now := l.Lives(); now != lives {
				return fmt.Errorf("it was\n%s\nand is\n%s", lives, now)
			}
			for _, c := range l.Pod().Status.ContainerStatuses {
				if !c.Ready && c.Name != "traffic-agent" {
					return fmt.Errorf("container %s is not ready", c.Name)
				}
			}
			return nil
		})
		if n := arrived.Load() - before; n != 0 {
			t.Errorf("%s: %d probes reached the laptop", inject, n)
		}
		if out := alice.Intercept("status").Out; strings.Contains(out, "Probe failed") {
			t.Errorf("%s: status says\n%s", inject, out)
		}
		// By the pod's address, and by a node's: those callers have a node's address, as the
		// kubelet does.
		for port, say := range map[string]func(net.Conn){
			"8080": func(c net.Conn) { fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n\r\n") },
			"8443": func(c net.Conn) {
				_ = tls.Client(c, &tls.Config{ServerName: "probed", InsecureSkipVerify: true}).Handshake()
			},
			"8090": func(c net.Conn) { fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") },
			"50051": func(c net.Conn) {
				if h, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(c); err == nil {
					r, _ := http.NewRequest(http.MethodPost, "http://probed/shop.Quotes/Get", nil)
					_, _ = h.RoundTrip(r) // nobody answers
				}
			},
		} {
			for _, addr := range []string{net.JoinHostPort(pod.Status.PodIP, port), nodePort(l, "probed", port, pod.Spec.NodeName)} {
				before := arrived.Load()
				c, err := l.Nodes[0].Dial(t.Context(), "tcp", addr)
				l.Must(err)
				go say(c)
				l.Until(inject+": a caller of port "+port+" at "+addr+" reaches the laptop", func() error {
					if arrived.Load() == before {
						return errors.New("not yet")
					}
					return nil
				})
				c.Close()
			}
		}
		alice.Intercept("leave", "probed")
	}
}

// nodePort is where a node serves the port of a Service that leads to a port of pods.
func nodePort(l *lab.Lab, service, target, node string) string {
	l.Helper()
	var s corev1.Service
	var n corev1.Node
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: service}, &s))
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Name: node}, &n))
	for _, p := range s.Spec.Ports {
		if p.TargetPort.String() == target {
			return net.JoinHostPort(n.Status.Addresses[0].Address, fmt.Sprint(p.NodePort))
		}
	}
	l.Fatalf("service %s does not lead to port %s", service, target)
	return ""
}

// TestCommandProbe: add says which probe the agent cannot tell from a caller, and
// status tells that it failed.
func TestCommandProbe(t *testing.T) {
	l := lab.New(t, clusters)
	l.LoadTools()
	l.ApplyText(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: commanded}
spec:
  selector: {matchLabels: {app: commanded}}
  template:
    metadata: {labels: {app: commanded}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: health
        image: kubectl-intercept.dev/test/tools:dev
        command: [/health, -listen=:50051]
        ports: [{name: grpc, containerPort: 50051}]
        readinessProbe: {exec: {command: [/health, -check=localhost:50051]}, periodSeconds: 1, timeoutSeconds: 1}
`)
	alice := l.Laptop("alice")
	program := alice.Listen(func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
	})
	o := alice.Intercept("add", "commanded", "--inject", "ephemeral", "--port", program.To("grpc"))
	const want = `the readiness probe of container "health" runs a command that calls port 50051 from within the pod`
	if !strings.Contains(o.Err, want) {
		t.Errorf("add says %q, want %q", o.Err, want)
	}
	l.Until("status tells of the failed probe", func() error {
		out, err := alice.RunQuiet("status")
		if err == nil && !strings.Contains(out, "Probe failed") {
			err = errors.New(out)
		}
		return err
	})
}
