package forward_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	agenttls "github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// healthServer is a gRPC server that is well, or not.
func healthServer(t *testing.T, status grpc_health_v1.HealthCheckResponse_ServingStatus, opts ...grpc.ServerOption) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := health.NewServer()
	h.SetServingStatus("", status)
	s := grpc.NewServer(opts...)
	grpc_health_v1.RegisterHealthServer(s, h)
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	return ln.Addr().String()
}

func dial(ctx context.Context, addr string) (*net.TCPConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// laptop takes every flow and joins it with the program at this address.
type laptop string

// Open implements forward.Opener.
func (l laptop) Open(ctx context.Context, _ *relay.Owner, open *frame.Open) (tunnel.Stream, error) {
	c, err := dial(ctx, string(l))
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(open.First); err != nil {
		return nil, err
	}
	return tunnel.NewTCP(c), nil
}

// capturing is a listener in front of an application, with routes of its port.
func capturing(t *testing.T, application string, o forward.Opener) *tcp.Listener {
	t.Helper()
	return capturingWith(t, application, o, nil)
}

// capturingWith is capturing of an application that speaks TLS with the key in a folder.
func capturingWith(t *testing.T, application string, o forward.Opener, keys *agenttls.Keys) *tcp.Listener {
	t.Helper()
	log := tunneltest.Log(t)
	port := forward.NewPort(t.Context(), 80, o, func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) { return dial(ctx, to.String()) }, log)
	if keys != nil {
		port.SetKeys(keys)
	}
	l, err := tcp.Listen(t.Context(), tcp.Config{
		Dialed: func(*net.TCPConn) (netip.AddrPort, bool) { return netip.MustParseAddrPort(application), true },
	}, port, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		l.Close(over)
	})
	return l
}

func address(l *tcp.Listener) string { return fmt.Sprintf("127.0.0.1:%d", l.Agent()) }

// counts are those of the route of an intercept.
func counts(l *tcp.Listener, uid string) *rpc.RouteReport {
	r := &rpc.RouteReport{InterceptUid: uid}
	l.Report(r)
	return r
}

// probed is a listener in front of an application, with a laptop that has all but
// the probes.
func probed(t *testing.T, application, laptopAt string, kind rpc.Probe_Kind) (addr string, connections func() uint64) {
	t.Helper()
	l := capturing(t, application, laptop(laptopAt))
	l.Route(&rpc.CapturePort{Port: 80, Probes: []*rpc.Probe{{Kind: kind}}, NodeAddresses: []string{"127.0.0.1"},
		Routes: []*rpc.Route{{Session: "alice", InterceptUid: "i", Relays: []string{"relay"}}}})
	return address(l), func() uint64 { return counts(l, "i").Connections }
}

// The kubelet's gRPC probe sends nothing by which it could be known before it has the
// server's SETTINGS, and neither does any other caller on the node.
func TestGRPCProbes(t *testing.T) {
	addr, connections := probed(t, healthServer(t, grpc_health_v1.HealthCheckResponse_SERVING),
		healthServer(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING), rpc.Probe_GRPC)
	ask := func(agent string, times int) grpc_health_v1.HealthCheckResponse_ServingStatus {
		t.Helper()
		conn, err := grpc.NewClient(addr, grpc.WithUserAgent(agent), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var status grpc_health_v1.HealthCheckResponse_ServingStatus
		for range times {
			got, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatalf("%s: %v", agent, err)
			}
			status = got.Status
		}
		return status
	}
	for range 3 {
		if got := ask("kube-probe/1.36", 1); got != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("the kubelet is answered %v: not by the application", got)
		}
	}
	given, err := dial(t.Context(), addr) // the kubelet gave up before its request
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	fmt.Fprint(given, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	given.CloseWrite()
	given.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, given); err != nil {
		t.Errorf("a client that goes before its request: %v", err)
	}
	if n := connections(); n != 0 {
		t.Errorf("%d probes count as connections", n)
	}
	if got := ask("grpc-health-client", 100); got != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("a caller is answered %v: not by the laptop", got)
	}
}

// A kubelet on a busy node says nothing for a while after it has connected.
func TestSlowProbe(t *testing.T) {
	application, elsewhere := tunneltest.Named(t, "app"), tunneltest.Named(t, "laptop")
	l := capturing(t, application.String(), laptop(elsewhere.String()))
	l.Route(&rpc.CapturePort{Port: 80, Probes: []*rpc.Probe{{Kind: rpc.Probe_HTTP, Target: "/healthz"}},
		Routes: []*rpc.Route{{Session: "alice", InterceptUid: "i", Relays: []string{"relay"}}}})
	c, err := dial(t.Context(), address(l))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-time.After(500 * time.Millisecond)
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\n\r\n")
	answer := make([]byte, 3)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "app" {
		t.Errorf("answered %q, %v", answer, err)
	}
}

// A connection without a byte is the kubelet's where the spec says so.
func TestTCPProbes(t *testing.T) {
	arrived := make(chan string, 16)
	program := func(name string) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				arrived <- name
				c.Write([]byte(name))
				c.Close()
			}
		}()
		return ln.Addr().String()
	}
	addr, connections := probed(t, program("application"), program("laptop"), rpc.Probe_TCP)
	// A busy machine may see the end later than it waits for first bytes.
	for who, deadline := "", time.Now().Add(10*time.Second); who != "application"; who = <-arrived {
		if time.Now().After(deadline) {
			t.Fatal("no probe reaches the application")
		}
		c, err := dial(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		c.CloseWrite() // at once, as the kubelet closes
		defer c.Close()
	}
	before := connections()
	c, err := dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var b strings.Builder
	buf := make([]byte, 64)
	for n, err := c.Read(buf); err == nil; n, err = c.Read(buf) {
		b.Write(buf[:n])
	}
	if b.String() != "laptop" || connections() != before+1 {
		t.Errorf("a caller who waits for the server is answered %q, %d connections", b.String(), connections()-before)
	}
}
