package local

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// TestDatagramsForNobody: a flow of datagrams to a closed port is refused, as one
// of TCP is, so that the application can have it.
func TestDatagramsForNobody(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	table := dnsTo(t, l)
	taken := errors.New("taken")
	if err := table.Handle(context.Background(), openUDP(), accepter{taken}); !errors.Is(err, taken) {
		t.Errorf("somebody listens: %v", err)
	}
	l.Close()
	if err := table.Handle(context.Background(), openUDP(), accepter{taken}); !errors.Is(err, frame.ErrRefused) {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestDatagramsForLocalhost6: a program that listens on localhost by its IPv6
// address only gets its datagrams, the first one too.
func TestDatagramsForLocalhost6(t *testing.T) {
	l, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	table := dnsTo(t, l)
	taken := errors.New("taken")
	if err := table.Handle(context.Background(), openUDP(), accepter{taken}); !errors.Is(err, taken) {
		t.Fatalf("somebody listens: %v", err)
	}
	buf := make([]byte, 8)
	if n, _, err := l.ReadFrom(buf); err != nil || string(buf[:n]) != "x" {
		t.Errorf("it gets %q, %v", buf[:n], err)
	}
}

// dnsTo is a table in which an intercept of port 53 leads to a local socket's port.
func dnsTo(t *testing.T, l net.PacketConn) *Table {
	port := int32(l.LocalAddr().(*net.UDPAddr).Port)
	table := NewTable(t.Context(), nil, "session", "jane", slog.New(slog.DiscardHandler), func() {})
	i := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "dns", UID: "i"},
		Spec: v1alpha1.InterceptSpec{User: "jane", Session: "session"},
		Status: v1alpha1.InterceptStatus{Ports: []v1alpha1.ResolvedPort{
			{ContainerPort: 53, Protocol: "UDP", LocalHost: "127.0.0.1", LocalPort: port}}}}
	table.entries[client.ObjectKeyFromObject(i)] = newEntry(i)
	return table
}

// datagram is the first of a flow for that intercept.
func openUDP() *frame.Open {
	return &frame.Open{Intercept: "shop/dns", InterceptUID: "i", Protocol: frame.UDP, Port: 53, First: []byte("x")}
}

// accepter is a flow whose Accept fails with an error.
type accepter struct{ err error }

func (a accepter) Accept() error                          { return a.err }
func (a accepter) Join(tunnel.Stream, tunnel.Count) error { return a.err }
