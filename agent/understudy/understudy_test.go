package understudy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const why = "container worker is replaced by alice (intercept worker)"

func dial(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

func newUnderstudy() *Understudy {
	return New(why, []*rpc.Probe{{Target: "/healthz?full=1", Headers: []*rpc.Header{{Name: "user-agent", Value: "checker "}}},
		{Target: "/"}, {Target: "/hook", Hook: true, Headers: []*rpc.Header{{Name: "User-Agent", Value: "curl/8"}}}, {Kind: rpc.Probe_TCP}}, dial)
}

// The kubelet's probes succeed by any version of HTTP, and everybody else reads what is the
// matter.
func TestHTTP(t *testing.T) {
	u := newUnderstudy()
	protocols := func(set func(*http.Protocols, bool)) *http.Protocols {
		p := new(http.Protocols)
		set(p, true)
		return p
	}
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) { return u.Dial(ctx) }
	for name, transport := range map[string]*http.Transport{
		"HTTP/1.1":          {DialContext: connect},
		"HTTP/2":            {DialContext: connect, Protocols: protocols((*http.Protocols).SetUnencryptedHTTP2)},
		"HTTP/1.1 with TLS": {DialContext: connect, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		"HTTP/2 with TLS":   {DialContext: connect, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: protocols((*http.Protocols).SetHTTP2)},
	} {
		t.Run(name, func(t *testing.T) {
			defer transport.CloseIdleConnections()
			scheme := "http"
			if transport.TLSClientConfig != nil {
				scheme = "https"
			}
			for _, test := range []struct {
				method, path, agent string
				want                int
			}{
				{"GET", "/ready", "kube-probe/1.36", 200},
				{"GET", "/healthz?full=1", "checker", 200},
				{"GET", "/healthz", "checker", 503},
				{"GET", "/healthz?full=1", "curl/8", 503},
				{"POST", "/healthz?full=1", "curl/8", 503},
				{"GET", "/hook", "curl/8", 503},
				{"GET", "/", "curl/8", 503},
			} {
				r, err := http.NewRequestWithContext(t.Context(), test.method, scheme+"://pod"+test.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("User-Agent", test.agent)
				answer, err := transport.RoundTrip(r)
				if err != nil {
					t.Errorf("%s %s: %v", test.method, test.path, err)
					continue
				}
				body, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if err != nil || answer.StatusCode != test.want || !strings.Contains(string(body), why) {
					t.Errorf("%s %s by %s: %d, %v, %q, want %d", test.method, test.path, test.agent, answer.StatusCode, err, body, test.want)
				}
			}
		})
	}
}

func TestGRPC(t *testing.T) {
	u := newUnderstudy()
	for agent, want := range map[string]codes.Code{"kube-probe/1.36": codes.OK, "client/1": codes.Unavailable} {
		c, err := grpc.NewClient("passthrough:///pod", grpc.WithUserAgent(agent), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return u.Dial(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		r, err := health.NewHealthClient(c).Check(t.Context(), &health.HealthCheckRequest{})
		if status.Code(err) != want || want == codes.OK && r.Status != health.HealthCheckResponse_SERVING || want != codes.OK && !strings.Contains(err.Error(), why) {
			t.Errorf("to %s it says %v, %v", agent, r, err)
		}
		c.Close()
	}
}

// What is not HTTP is closed, and not kept waiting.
func TestOthers(t *testing.T) {
	for name, first := range map[string]string{"another protocol": "\x00\x00\x00\x08\x04\xd2\x16\x2f", "a client that goes": ""} {
		t.Run(name, func(t *testing.T) {
			c, err := newUnderstudy().Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, first)
			c.CloseWrite()
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if b, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") || len(b) > 0 {
				t.Errorf("it answers %q, %v", b, err)
			}
		})
	}
}
