package carrier

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// upgrade answers an Upgrade request, sends hello and echoes.
func upgrade(w http.ResponseWriter, r *http.Request) {
	protocol := handshake.UpgradeProtocol
	if r.URL.Path == handshake.LineUpgradePath {
		protocol = handshake.LineUpgradeProtocol
	}
	if r.Header.Get("Upgrade") != protocol || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
		http.Error(w, "this path speaks the tunnel only", http.StatusUpgradeRequired)
		return
	}
	c, b, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	// The first bytes come together with the 101.
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\nhello ")
	io.Copy(c, b)
}

// checkEcho checks a connection that ends in upgrade.
func checkEcho(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "echo\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "hello echo\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	c.Close()
	if <-done == nil {
		t.Fatal("a read on a closed connection succeeds")
	}
}

// apiServer serves h below /prefix and returns a configuration for it.
func apiServer(t *testing.T, h http.HandlerFunc) *rest.Config {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true // which must not be chosen
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return &rest.Config{Host: s.URL + "/prefix", BearerToken: "secret", TLSClientConfig: rest.TLSClientConfig{CAData: ca},
		Impersonate: rest.ImpersonationConfig{UserName: "jane"}}
}

func TestServiceProxy(t *testing.T) {
	seen := make(chan *http.Request, 1)
	cfg := apiServer(t, func(w http.ResponseWriter, r *http.Request) { seen <- r; upgrade(w, r) })
	p, err := NewServiceProxy(Fixed(cfg), "intercept-system")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c, err := p.Dial(ctx)
	cancel() // the dial's context is not the connection's
	if err != nil {
		t.Fatal(err)
	}
	r := <-seen
	if want := "/prefix/api/v1/namespaces/intercept-system/services/http:traffic-manager:tunnel/proxy/tunnel"; r.URL.Path != want {
		t.Errorf("path %s, want %s", r.URL.Path, want)
	}
	if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Impersonate-User") != "jane" {
		t.Errorf("headers %v lack the user", r.Header)
	}
	checkEcho(t, c)
}

func TestServiceProxyForbidden(t *testing.T) {
	cfg := apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"services is forbidden","reason":"Forbidden","code":403}`)
	})
	p, err := NewServiceProxy(Fixed(cfg), "ns")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Dial(context.Background())
	if !IsNotPossible(err) || !apierrors.IsForbidden(err) {
		t.Fatalf("error %v", err)
	}
}

func TestServiceProxyDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p, err := NewServiceProxy(Fixed(&rest.Config{Host: "https://" + l.Addr().String()}), "ns")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.Dial(context.Background()); err == nil || IsNotPossible(err) {
		t.Fatalf("error %v", err)
	}
}

// kubelet is the far end of a port-forward: data streams end at addr, or fail
// with the text.
func kubelet(t *testing.T, addr, failure string) func(*rest.Config, *url.URL) (httpstream.Connection, error) {
	return func(*rest.Config, *url.URL) (httpstream.Connection, error) {
		near, far := pair(t)
		errs := make(chan httpstream.Stream, 1)
		server, err := spdy.NewServerConnection(far, func(s httpstream.Stream, _ <-chan struct{}) error {
			if s.Headers().Get(corev1.PortHeader) != "443" {
				return errors.New("want port 443")
			}
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				errs <- s
				return nil
			}
			go func() {
				e := <-errs
				defer e.Close()
				if failure != "" {
					io.WriteString(e, failure)
					return
				}
				c, err := net.Dial("tcp", addr)
				if err != nil {
					io.WriteString(e, err.Error())
					return
				}
				go func() { io.Copy(c, s); c.Close() }()
				io.Copy(s, c)
				s.Close()
			}()
			return nil
		})
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { server.Close() })
		return spdy.NewClientConnection(near)
	}
}

func TestPortForward(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(upgrade))
	t.Cleanup(s.Close)
	for _, p := range []*PortForward{
		NewPortForward(Fixed(&rest.Config{Host: "https://api"}), pods("traffic-manager-0"), "ns"),
		NewLineForward(Fixed(&rest.Config{Host: "https://api"}), pods(), "ns", func() string { return "traffic-manager-0" }),
	} {
		p.dial = kubelet(t, s.Listener.Addr().String(), "")
		ctx, cancel := context.WithCancel(context.Background())
		c, err := p.Dial(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		checkEcho(t, c)
	}
}

func TestPortForwardFails(t *testing.T) {
	p := &PortForward{access: Fixed(&rest.Config{Host: "https://api"}), client: pods("traffic-manager-0"), namespace: "ns", dial: kubelet(t, "", "connection refused")}
	if _, err := p.Dial(context.Background()); err == nil || !strings.Contains(err.Error(), "connection refused") || IsNotPossible(err) {
		t.Fatalf("error %v", err)
	}
	p.client = pods()
	if _, err := p.Dial(context.Background()); !errors.Is(err, ErrNoManager) || !IsNotPossible(err) {
		t.Fatalf("error %v without a pod", err)
	}
	p.client = pods("starting")
	if _, err := p.Dial(context.Background()); err == nil || IsNotPossible(err) {
		t.Fatalf("error %v without a ready pod", err)
	}
}

func TestPortForwardFallsBackToSPDY(t *testing.T) {
	forbidden := `pods "traffic-manager-0" is forbidden: User "jane" cannot create resource "pods/portforward"`
	for _, c := range []struct {
		name            string
		websocket, spdy int
		message         string // of SPDY's answer
		notPossible     bool
	}{
		{"no WebSocket, SPDY forbidden", 400, 403, forbidden, true},
		{"both forbidden", 403, 403, forbidden, true},
		{"no WebSocket, the kubelet is away", 400, 500, "error dialing backend", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var methods []string
			cfg := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
				methods = append(methods, r.Method+" "+r.Header.Get("Upgrade"))
				status := metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Code: int32(c.websocket), Message: "no WebSocket"}
				if r.Method == http.MethodPost {
					status.Code, status.Message = int32(c.spdy), c.message
				}
				if status.Code == http.StatusForbidden {
					status.Reason = metav1.StatusReasonForbidden
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(int(status.Code))
				json.NewEncoder(w).Encode(status)
			})
			_, err := NewPortForward(Fixed(cfg), pods("traffic-manager-0"), "ns").Dial(context.Background())
			if err == nil || IsNotPossible(err) != c.notPossible {
				t.Fatalf("error %v", err)
			}
			if want := []string{"GET websocket", "POST SPDY/3.1"}; !slices.Equal(methods, want) {
				t.Fatalf("requests %q, want %q", methods, want)
			}
		})
	}
}
