package forward_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/kubectl-intercept/kubectl-intercept/agent/forward"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	agenttls "github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// accepting tells of accepted connections.
type accepting struct {
	net.Listener
	accepted chan struct{}
}

func (a accepting) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	select {
	case a.accepted <- struct{}{}:
	default:
	}
	return c, err
}

// secureSite is a website that speaks TLS, for the name example.com.
func secureSite(t *testing.T) (s *httptest.Server, accepted chan struct{}) {
	t.Helper()
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "app ", r.URL.Path)
	}))
	accepted = make(chan struct{}, 1)
	s.Listener = accepting{s.Listener, accepted}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, accepted
}

// secret is a folder with the key of a server.
func secret(t *testing.T, c tls.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// securely is a listener in front of an application that speaks TLS.
func securely(t *testing.T, application, secret string, o forward.Opener, c *rpc.CapturePort) *tcp.Listener {
	t.Helper()
	l := capturingWith(t, application, o, agenttls.NewKeys(secret, "", tunneltest.Log(t)))
	l.Route(c)
	return l
}

// opens notes how flows to laptops are opened.
type opens struct {
	forward.Opener
	seen chan frame.Open
}

func (o opens) Open(ctx context.Context, owner *relay.Owner, f *frame.Open) (tunnel.Stream, error) {
	o.seen <- *f
	return o.Opener.Open(ctx, owner, f)
}

// secureClient keeps one connection, in which it speaks HTTP/1 or HTTP/2.
func secureClient(t *testing.T, s *httptest.Server, two bool) *http.Client {
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = two
	transport.TLSClientConfig.ServerName = "example.com"
	transport.TLSClientConfig.NextProtos = nil
	if !two {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	transport.MaxConnsPerHost = 1
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// answers wants this website to answer a user's request in TLS, by a version of HTTP.
func answers(t *testing.T, c *http.Client, l *tcp.Listener, user, website string, version int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address(l)+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-User", user)
	got, err := c.Do(r)
	if err != nil {
		t.Fatalf("a request of %q: %v", user, err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != website+" /x" || got.ProtoMajor != version {
		t.Errorf("a request of %q: answered %q, %v, by HTTP/%d", user, body, err, got.ProtoMajor)
	}
}

// Requests in TLS are told apart where the agent has the key. Without it, and without
// conditions, the connection is the application's.
func TestRequestsInTLS(t *testing.T) {
	site, _ := secureSite(t)
	key := secret(t, site.TLS.Certificates[0])
	for _, version := range []int{1, 2} {
		laptop := opens{laptops{"alice": laptop(website(t, "alice"))}, make(chan frame.Open, 64)}
		personal := &rpc.CapturePort{Port: 443, Routes: []*rpc.Route{personal("alice")}}
		l := securely(t, site.Listener.Addr().String(), key, laptop, personal)
		client := secureClient(t, site, version == 2)
		for range 3 {
			answers(t, client, l, "", "app", version)
			answers(t, client, l, "alice", "alice", version)
		}
		if o := <-laptop.seen; !o.TLS || o.ServerName != "example.com" {
			t.Errorf("a flow to the laptop is opened with %+v", o)
		}
		if r := counts(l, "alice"); r.Fallbacks != 0 {
			t.Errorf("counts are %v", r)
		}
		keyless := securely(t, site.Listener.Addr().String(), t.TempDir(), laptop, personal)
		answers(t, secureClient(t, site, version == 2), keyless, "alice", "app", version)
	}
}

// The kubelet's HTTPS probes stay with the application. A caller on the node whose
// ClientHello looks like the kubelet's is told from it by the request if the agent has the
// key, and else taken for it.
func TestProbesInTLS(t *testing.T) {
	site, _ := secureSite(t)
	everyRequest := route("alice", "alice")
	everyRequest.Match = &rpc.Match{}
	c := &rpc.CapturePort{Port: 443, Routes: []*rpc.Route{everyRequest}, NodeAddresses: []string{"127.0.0.1"},
		Probes: []*rpc.Probe{{Kind: rpc.Probe_HTTPS, Target: "/x"}}}
	laptop := laptops{"alice": laptop(website(t, "alice"))}
	ask := func(l *tcp.Listener, agent string, version int) string {
		t.Helper()
		client := secureClient(t, site, version == 2)
		config := client.Transport.(*http.Transport).TLSClientConfig
		config.InsecureSkipVerify, config.ServerName = true, "" // as the kubelet, which calls an address
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address(l)+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", agent)
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	with := securely(t, site.Listener.Addr().String(), secret(t, site.TLS.Certificates[0]), laptop, c)
	without := securely(t, site.Listener.Addr().String(), t.TempDir(), laptop, c)
	for _, version := range []int{1, 2} {
		for _, x := range []struct {
			l           *tcp.Listener
			agent, want string
		}{
			{with, "kube-probe/1.36", "app /x"}, {with, "curl/8", "alice /x"},
			{without, "kube-probe/1.36", "app /x"}, {without, "curl/8", "app /x"},
		} {
			if got := ask(x.l, x.agent, version); got != x.want {
				t.Errorf("%s, HTTP/%d: answered %q, want %q", x.agent, version, got, x.want)
			}
		}
	}
}

// Calls of gRPC in TLS are told apart by their metadata.
func TestGRPCInTLS(t *testing.T) {
	site, _ := secureSite(t)
	certificate := site.TLS.Certificates[0]
	application := healthServer(t, grpc_health_v1.HealthCheckResponse_SERVING, grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	alice := healthServer(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	l := securely(t, application, secret(t, certificate), laptops{"alice": laptop(alice)},
		&rpc.CapturePort{Port: 443, Speaks: rpc.Speaks_SPEAKS_HTTPS, Routes: []*rpc.Route{personal("alice")}})
	conn, err := grpc.NewClient(address(l), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, ServerName: "example.com"})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		for user, want := range map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{
			"alice": grpc_health_v1.HealthCheckResponse_NOT_SERVING, "bob": grpc_health_v1.HealthCheckResponse_SERVING} {
			got, err := grpc_health_v1.NewHealthClient(conn).Check(metadata.AppendToOutgoingContext(t.Context(), "x-user", user), &grpc_health_v1.HealthCheckRequest{})
			if err != nil || got.Status != want {
				t.Errorf("%s is answered %v, %v", user, got, err)
			}
		}
	}
}

// A caller whose ClientHello comes late is served all the same.
func TestLateHello(t *testing.T) {
	site, accepted := secureSite(t)
	l := securely(t, site.Listener.Addr().String(), secret(t, site.TLS.Certificates[0]),
		laptops{"alice": laptop(website(t, "alice"))}, &rpc.CapturePort{Port: 443, Routes: []*rpc.Route{personal("alice")}})
	client := secureClient(t, site, false)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			<-accepted // the agent has given up waiting for first bytes
		}
		return c, err
	}
	answers(t, client, l, "alice", "alice", 1)
	answers(t, client, l, "", "app", 1)
}

// What is in TLS and is not HTTP goes through, the server's first words too.
func TestOtherInTLS(t *testing.T) {
	site, _ := secureSite(t)
	certificate := site.TLS.Certificates[0]
	mail := tunneltest.Listen(t, func(below net.Conn) {
		c := tls.Server(below, &tls.Config{Certificates: []tls.Certificate{certificate}})
		defer c.Close()
		fmt.Fprint(c, "220 mail\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		fmt.Fprint(c, "250 ", line)
	})
	l := securely(t, mail.Addr().String(), secret(t, certificate), laptops{}, &rpc.CapturePort{Port: 443, Routes: []*rpc.Route{personal("alice")}})
	c, err := tls.Dial("tcp", address(l), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if line, err := in.ReadString('\n'); line != "220 mail\r\n" {
		t.Errorf("greeted with %q, %v", line, err)
	}
	fmt.Fprint(c, "EHLO\r\n")
	if line, err := in.ReadString('\n'); line != "250 EHLO\r\n" {
		t.Errorf("answered %q, %v", line, err)
	}
}

// A word in TLS that could be a method, and is followed by nothing, reaches the application.
func TestWordInTLS(t *testing.T) {
	site, _ := secureSite(t)
	certificate := site.TLS.Certificates[0]
	app := tunneltest.Listen(t, func(below net.Conn) {
		c := tls.Server(below, &tls.Config{Certificates: []tls.Certificate{certificate}})
		defer c.Close()
		word := make([]byte, 4)
		if _, err := io.ReadFull(c, word); err == nil && string(word) == "ruok" {
			fmt.Fprintln(c, "imok")
		}
	})
	l := securely(t, app.Addr().String(), secret(t, certificate), laptops{}, &rpc.CapturePort{Port: 443, Routes: []*rpc.Route{personal("alice")}})
	c, err := tls.Dial("tcp", address(l), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "ruok")
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := bufio.NewReader(c).ReadString('\n'); got != "imok\n" {
		t.Errorf("answered %q, %v", got, err)
	}
}

// Inside TLS, a caller that was silent while the intercept of all connections ended reaches
// the application, in TLS as well.
func TestSilentCallerInTLS(t *testing.T) {
	site, _ := secureSite(t)
	certificate := site.TLS.Certificates[0]
	app := tunneltest.Listen(t, func(below net.Conn) {
		c := tls.Server(below, &tls.Config{Certificates: []tls.Certificate{certificate}})
		defer c.Close()
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			fmt.Fprint(c, "app ", line)
		}
	})
	asked := make(chan struct{}, 1)
	all := tunneltest.Listen(t, func(net.Conn) { asked <- struct{}{} })
	c := &rpc.CapturePort{Port: 443, Routes: []*rpc.Route{personal("alice"), route("all", "all")}}
	l := securely(t, app.Addr().String(), secret(t, certificate), laptops{"all": laptop(all.Addr().String())}, c)
	conn, err := tls.Dial("tcp", address(l), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-asked
	l.Route(&rpc.CapturePort{Port: 443, Routes: []*rpc.Route{personal("alice")}})
	(&caller{conn, bufio.NewReader(conn)}).answers(t, "app")
}

// Where the Service says that a port is not HTTP, a connection is not looked at, and the
// route says so.
func TestPortWithoutHTTP(t *testing.T) {
	l := team(t)
	l.Route(&rpc.CapturePort{Port: 80, Speaks: rpc.Speaks_SPEAKS_OTHER, Routes: []*rpc.Route{personal("alice")}})
	for _, c := range clients(t) {
		ask(t, c, l, "alice", "/x", "app")
	}
	if r := counts(l, "alice"); r.State != rpc.PortState_FAILED || r.Message == "" {
		t.Errorf("reported as %v", r)
	}
}

// Where the Service says that a port is HTTP, nothing is opened for a silent caller.
func TestSilentCallerOfHTTP(t *testing.T) {
	site, accepted := secureSite(t)
	l := securely(t, site.Listener.Addr().String(), secret(t, site.TLS.Certificates[0]), laptops{},
		&rpc.CapturePort{Port: 443, Speaks: rpc.Speaks_SPEAKS_HTTPS, Routes: []*rpc.Route{personal("alice")}})
	silent := call(t, l)
	answers(t, secureClient(t, site, false), l, "", "app", 1)
	<-accepted
	defer silent.Close()
	select {
	case <-accepted:
		t.Error("the application is asked for a caller that says nothing")
	default:
	}
}
