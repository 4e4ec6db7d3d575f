package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki/pkitest"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// TestPorts: agents are served at their port, and all others at the other one.
func TestPorts(t *testing.T) {
	says := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, what) })
	}
	s := start(t, says("web"), says("sessions"))
	agent := agentCert(t, s, "quote-1")
	for _, tt := range []struct {
		protocol           string
		everybody, atAgent string
	}{
		{handshake.ALPNFlow, "refused", "flow"},
		{handshake.ALPNAgent, "refused", "Unimplemented"}, // gRPC answers
		{handshake.ALPNLine, "refused", "line"},
		{"http/1.1", "web", "refused"},
		{"", "web", "refused"},
	} {
		t.Run(tt.protocol, func(t *testing.T) {
			for addr, want := range map[string]string{s.Listen: tt.everybody, s.ListenAgents: tt.atAgent} {
				if got := over(t, addr, tt.protocol, agent); got != want {
					t.Errorf("%s at %s: %s, want %s", tt.protocol, addr, got, want)
				}
			}
		})
	}
	for addr, want := range map[string]string{s.Listen: "sessions", s.ListenAgents: "refused"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := get(c); got != want {
			t.Errorf("HTTP without TLS at %s: %s, want %s", addr, got, want)
		}
	}
	forgotten(t, s)
}

// agentCert is the certificate of the agent in a pod.
func agentCert(t *testing.T, s *Server, pod string) tls.Certificate {
	t.Helper()
	return pkitest.Agent(t, s.Authority, pki.Pod{Namespace: "shop", Name: pod, UID: pod})
}

// start starts a Server with these handlers, which says what it takes other connections for.
func start(t *testing.T, web, sessions http.Handler, more ...func(*Server)) *Server {
	t.Helper()
	authority, err := pki.Load(t.Context(), fake.NewFakeClient(), "intercept-system", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	conn := func(what string) func(*tls.Conn) {
		return func(c *tls.Conn) {
			io.WriteString(c, what)
			c.Close()
		}
	}
	log := slog.New(slog.DiscardHandler)
	s := &Server{Listen: free(t), ListenAgents: free(t), Authority: authority, Certificate: &pki.Serving{Authority: authority, Names: []string{"traffic-manager"}},
		HTTP: web, Sessions: sessions, Agents: rpc.UnimplementedAgentsServer{}, Flow: conn("flow"), Line: conn("line"),
		ListenDirect: free(t), Direct: func(c net.Conn, v *budget.Visit) { c.Close(); v.Known() },
		Budget: budget.New(log), Log: log}
	for _, change := range more {
		change(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, addr := range []string{s.Listen, s.ListenAgents, s.ListenDirect} {
		for deadline := time.Now().Add(10 * time.Second); ; {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	return s
}

// free is an address that nobody listens at, and where no other test looks for one.
func free(t *testing.T) string {
	t.Helper()
	own := make([]byte, 2)
	rand.Read(own)
	l, err := net.Listen("tcp", fmt.Sprintf("127.17.%d.%d:0", own[0], own[1]|1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// over is what a connection of an agent with this protocol is taken for.
func over(t *testing.T, addr, protocol string, agent tls.Certificate) string {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{agent}}
	if protocol != "" {
		config.NextProtos = []string{protocol}
	}
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return "refused"
	}
	defer c.Close()
	switch protocol {
	case handshake.ALPNAgent:
		g, err := grpc.NewClient("passthrough:///manager", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return c, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		_, err = rpc.NewAgentsClient(g).Enroll(t.Context(), &rpc.EnrollRequest{})
		if status.Code(err) == codes.Unimplemented {
			return "Unimplemented"
		}
		return err.Error()
	case "", "http/1.1":
		return get(c)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// get is the answer to an HTTP request over c.
func get(c net.Conn) string {
	defer c.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}}
	r, err := client.Get("http://traffic-manager/")
	if err != nil {
		if errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "server closed idle") {
			return "refused"
		}
		return err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
