//go:build linux

package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Application is the name that the application gives in its answers.
const Application = "the cluster"

// Service returns the address of a port of a Service. The port is a name or a number.
func (l *Lab) Service(name, port string) string {
	l.Helper()
	var s corev1.Service
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: name}, &s))
	for _, p := range s.Spec.Ports {
		if p.Name == port || fmt.Sprint(p.Port) == port {
			return net.JoinHostPort(s.Spec.ClusterIP, fmt.Sprint(p.Port))
		}
	}
	l.Fatalf("service %s has no port %s", name, port)
	return ""
}

// Serving returns the address of a port of a Service, once the application answers
// callers on every node there. Kube-proxy learns of a new Service a little later than
// the test.
func (l *Lab) Serving(name, port string) string {
	l.Helper()
	addr := l.Service(name, port)
	l.Eventually(addr, Application)
	return addr
}

// Ask makes one HTTP request over a connection of its own and returns the name in the
// answer.
func (s *Space) Ask(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := s.HTTP()
	defer c.CloseIdleConnections()
	return nameAt(ctx, c, addr)
}

// HTTP returns a client that connects from the namespace and keeps its connections.
func (s *Space) HTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.Dial}}
}

// AskUDP sends a datagram and returns the name in the answer. It sends another when
// no answer comes, since datagrams may be lost.
func (s *Space) AskUDP(ctx context.Context, addr string) (string, error) {
	c, err := s.Dial(ctx, "udp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	buf := make([]byte, 1024)
	for range 5 {
		if _, err = c.Write([]byte("ping")); err != nil {
			return "", err
		}
		if err := c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return "", err
		}
		var n int
		if n, err = c.Read(buf); err == nil {
			name, _, _ := strings.Cut(string(buf[:n]), ": ")
			return name, nil
		}
	}
	return "", err
}

func nameAt(ctx context.Context, c *http.Client, addr string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	return answered(string(body))
}

// Asker returns a function like Ask that keeps its connection.
func (s *Space) Asker(addr string) func(context.Context) (string, error) {
	c := s.HTTP()
	c.Timeout = 10 * time.Second
	return func(ctx context.Context) (string, error) { return nameAt(ctx, c, addr) }
}

// Answered returns an error unless callers on every node get their answer at addr
// from name.
func (l *Lab) Answered(addr, name string) error {
	for n, node := range l.Nodes {
		got, err := node.Ask(l.Context(), addr)
		if err != nil {
			return fmt.Errorf("%s from node %d: %w", addr, n+1, err)
		}
		if got != name {
			return fmt.Errorf("%s from node %d is answered by %s", addr, n+1, got)
		}
	}
	return nil
}

// Answers fails the test unless callers on every node get their answer at addr from
// name.
func (l *Lab) Answers(addr, name string) {
	l.Helper()
	if err := l.Answered(addr, name); err != nil {
		l.Fatalf("want %s: %v", name, err)
	}
}

// Soon waits until Answered succeeds. It fails the test after limit, and returns how
// long it waited.
func (l *Lab) Soon(limit time.Duration, addr, name string) time.Duration {
	l.Helper()
	return l.Within(limit, addr+" is answered by "+name, func() error { return l.Answered(addr, name) })
}

// Eventually is Soon with Patience as the limit.
func (l *Lab) Eventually(addr, name string) {
	l.Helper()
	l.Soon(Patience, addr, name)
}

// EveryPod is Answers for the own address of each pod of the namespace.
func (l *Lab) EveryPod(port, name string) {
	l.Helper()
	pods, err := l.pods()
	l.Must(err)
	for _, p := range pods {
		l.Answers(net.JoinHostPort(p.Status.PodIP, port), name)
	}
}
