package daemon

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/direct"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// door is the direct way into a cluster.
type door struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	lines int // that were offered
}

// open opens a direct way at an address.
func (c *cluster) open(address string) *door {
	c.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		c.t.Fatal(err)
	}
	d := &door{Listener: l}
	c.t.Cleanup(d.shut)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns = append(d.conns, conn)
			d.mu.Unlock()
			go c.enter(d, conn)
		}
	}()
	return d
}

func (c *cluster) enter(d *door, conn net.Conn) {
	secure, publicKey, err := handshake.Accept(context.Background(), conn, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.own, nil },
		handshake.ALPNCarrier, handshake.ALPNOffer)
	switch {
	case err != nil:
		conn.Close()
	case secure.ConnectionState().NegotiatedProtocol == handshake.ALPNOffer:
		d.mu.Lock()
		d.lines++
		d.mu.Unlock()
		c.offerOn(conn, secure)
	default:
		c.carryOn(context.Background(), conn, record.NewCarrier(secure, secure), publicKey, 0)
	}
}

// shut closes the way, and all connections.
func (d *door) shut() {
	d.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.Close()
	}
}

func (d *door) offered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lines
}

// TestDirectSession: carriers and lines go past the API server, by it while the direct way is
// closed, and directly again.
func TestDirectSession(t *testing.T) {
	c := newCluster(t)
	d := c.open("127.0.0.1:0")
	address := d.Addr().String()
	cm, ok := c.objects["/api/v1/namespaces/intercept-system/configmaps/traffic-manager"].(*corev1.ConfigMap)
	if !ok {
		t.Fatal("there is no ConfigMap")
	}
	cm.Data[direct.Key] = (&direct.Entrance{Addresses: []string{address}}).String()
	m := newMachine(t, c.factory())
	client, _ := m.mustEnsure()
	var s *socket.Status
	goes := func(by string, lines *door) {
		t.Helper()
		wait(t, "four carriers by "+by, func() bool {
			s, _ = client.Status(context.Background())
			return s.Carriers == carriers && s.Transport == by
		})
		if lines != nil {
			wait(t, "direct lines", func() bool { return lines.offered() >= 4 })
		}
	}
	goes(carrier.ViaDirect, d)
	if s.NotDirect != "" {
		t.Errorf("not directly: %s", s.NotDirect)
	}
	d.shut()
	goes(carrier.ViaService, nil)
	if !strings.Contains(s.NotDirect, "connection refused") || !strings.Contains(s.NotDirect, address) {
		t.Errorf("not directly: %q", s.NotDirect)
	}
	goes(carrier.ViaDirect, c.open(address))
	if err := client.Quit(context.Background()); err != nil {
		t.Error(err)
	}
}
