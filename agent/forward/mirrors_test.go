package forward_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// mirrorOf is the route of a mirror. The match says which requests it gets; nil: of each
// connection all that is sent.
func mirrorOf(uid string, match *rpc.Match) *rpc.Route {
	r := route(uid, uid)
	r.Mode, r.Match = rpc.Route_COPY, match
	return r
}

// overhearing is the address of a web server on a laptop that answers nonsense, and the
// requests that it gets.
func overhearing(t *testing.T) (address string, heard chan string) {
	heard = make(chan string, 1000)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header.Get("X-User") + " " + r.URL.Path
		http.Error(w, strings.Repeat("nonsense", 1000), http.StatusTeapot)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), heard
}

// Mirrors get copies of the requests that match, whoever takes these, and nobody gets their
// answers.
func TestMirrorsOfRequests(t *testing.T) {
	alices, all := personal("alice").Match, &rpc.Match{}
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			some, heardSome := overhearing(t)
			every, heardAll := overhearing(t)
			l := capturing(t, website(t, "app"), laptops{"alice": laptop(website(t, "alice")), "some": laptop(some), "all": laptop(every)})
			set := func(routes ...*rpc.Route) { l.Route(&rpc.CapturePort{Port: 80, Routes: routes, KeepEstablished: true}) }
			hear := func(heard chan string, want string) {
				t.Helper()
				if got := <-heard; got != want {
					t.Errorf("copied %q, want %q", got, want)
				}
			}
			set(mirrorOf("some", alices), mirrorOf("all", all))
			for n := range 20 {
				path := fmt.Sprint("/", n)
				ask(t, client, l, "alice", path, "app")
				hear(heardSome, "alice "+path)
				hear(heardAll, "alice "+path)
				ask(t, client, l, "bob", path, "app")
				hear(heardAll, "bob "+path)
			}
			set(personal("alice"), mirrorOf("some", alices))
			ask(t, client, l, "alice", "/", "alice")
			hear(heardSome, "alice /")
			ask(t, client, l, "bob", "/", "app")
			away := mirrorOf("some", alices)
			away.Relays = nil
			set(away)
			ask(t, client, l, "alice", "/away", "app")
			set(mirrorOf("some", alices))
			ask(t, client, l, "alice", "/back", "app")
			hear(heardSome, "alice /back")
			if c := counts(l, "some"); c.Requests != 22 || c.Fallbacks != 0 || c.BytesIn == 0 || c.BytesOut != 0 {
				t.Errorf("counts are %v", c)
			}
			l.Route(nil)
			ask(t, client, l, "alice", "/", "app")
		})
	}
}

// bystander is a listener in front of an application that answers lines, with a mirror of
// whole connections, and the connections that the laptop's program gets.
func bystander(t *testing.T, routes ...*rpc.Route) (set func(...*rpc.Route), connect func() *caller, copies chan net.Conn, count func() *rpc.RouteReport) {
	copies = make(chan net.Conn, 100)
	program := tunneltest.Listen(t, func(c net.Conn) { copies <- c }).Addr().String()
	l := capturing(t, named(t, "app"), laptops{"m": laptop(program), "bob": laptop(named(t, "bob"))})
	set = func(routes ...*rpc.Route) {
		l.Route(&rpc.CapturePort{Port: 80, Routes: routes, Probes: []*rpc.Probe{{Kind: rpc.Probe_HTTP, Target: "/healthz"}}})
	}
	set(routes...)
	return set, func() *caller { return call(t, l) }, copies, func() *rpc.RouteReport { return counts(l, "m") }
}

// A mirror gets all that a caller sends, whoever takes the connection, and its end.
func TestMirrorOfConnection(t *testing.T) {
	for who, routes := range map[string][]*rpc.Route{
		"app": {mirrorOf("m", nil)},
		"bob": {route("bob", "bob"), mirrorOf("m", nil)},
	} {
		t.Run(who, func(t *testing.T) {
			_, call, copies, count := bystander(t, routes...)
			c := call()
			for range 100 {
				c.answers(t, who)
			}
			copied := <-copies
			fmt.Fprintln(copied, "nobody hears this")
			c.Conn.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(copied)
			if err != nil || string(got) != strings.Repeat("hello\n", 100) {
				t.Errorf("copied %q, %v", got, err)
			}
			if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
				t.Errorf("answered %q, %v", rest, err)
			}
			if r := count(); r.Connections != 1 || r.BytesIn != 600 || r.BytesOut != 0 || r.Fallbacks != 0 {
				t.Errorf("counts are %v", r)
			}
		})
	}
}

// A mirror beside a personal intercept gets the requests, too, as bytes.
func TestMirrorOfConnectionWithRequests(t *testing.T) {
	_, call, copies, _ := bystander(t, personal("alice"), mirrorOf("m", nil))
	c := call()
	c.answers(t, "app")
	copied := <-copies
	c.Close()
	if got, err := io.ReadAll(copied); err != nil || string(got) != "hello\n" {
		t.Errorf("copied %q, %v", got, err)
	}
}

// The end of a mirror ends its connections, and nobody else's. A global intercept that
// comes takes the callers over.
func TestMirrorLeaves(t *testing.T) {
	set, call, copies, count := bystander(t, mirrorOf("m", nil))
	c := call()
	c.answers(t, "app")
	copied := <-copies
	set()
	io.Copy(io.Discard, copied)
	c.answers(t, "app")
	set(mirrorOf("m", nil))
	c.answers(t, "app") // and is not copied, since it began without a mirror
	if r := count(); r.Connections != 0 {
		t.Errorf("counts are %v", r)
	}
	c = call()
	c.answers(t, "app")
	set(route("bob", "bob"), mirrorOf("m", nil))
	c.isReset(t)
	call().answers(t, "bob")
}

// The kubelet's probes are not copied.
func TestMirrorOfProbes(t *testing.T) {
	for name, routes := range map[string][]*rpc.Route{
		"alone": {mirrorOf("m", nil)}, "beside a personal one": {personal("alice"), mirrorOf("m", nil)}, "of requests": {mirrorOf("m", &rpc.Match{})},
	} {
		t.Run(name, func(t *testing.T) {
			_, call, _, count := bystander(t, routes...)
			c := call()
			fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: shop\r\nUser-Agent: kube-probe/1.36\r\n\r\n")
			if got, err := c.in.ReadString('\n'); got != "app GET /healthz HTTP/1.1\n" {
				t.Errorf("answered %q, %v", got, err)
			}
			if r := count(); r.Connections != 0 {
				t.Errorf("counts are %v", r)
			}
		})
	}
}

// The kubelet's gRPC probes are not copied, and calls of others are.
func TestMirrorOfGRPCProbes(t *testing.T) {
	program, heard := overhearing(t)
	l := capturing(t, healthServer(t, grpc_health_v1.HealthCheckResponse_SERVING), laptops{"m": laptop(program)})
	l.Route(&rpc.CapturePort{Port: 80, Probes: []*rpc.Probe{{Kind: rpc.Probe_GRPC}}, NodeAddresses: []string{"127.0.0.1"},
		Routes: []*rpc.Route{mirrorOf("m", nil)}})
	for connections, agent := range []string{"kube-probe/1.36", "another"} {
		conn, err := grpc.NewClient(address(l), grpc.WithUserAgent(agent), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
		conn.Close()
		if r := counts(l, "m"); r.Connections != uint64(connections) {
			t.Errorf("%s: counts are %v", agent, r)
		}
	}
	if got := <-heard; got != " /grpc.health.v1.Health/Check" {
		t.Errorf("copied %q", got)
	}
}

// The kubelet's HTTPS probes are not copied where TLS ends in the agent.
func TestMirrorOfProbesInTLS(t *testing.T) {
	site, _ := secureSite(t)
	program, _ := overhearing(t)
	l := securely(t, site.Listener.Addr().String(), secret(t, site.TLS.Certificates[0]), laptops{"m": laptop(program)},
		&rpc.CapturePort{Port: 443, Probes: []*rpc.Probe{{Kind: rpc.Probe_HTTPS, Target: "/x"}}, Routes: []*rpc.Route{personal("alice"), mirrorOf("m", nil)}})
	for connections, agent := range []string{"kube-probe/1.36", "another"} {
		for version := 1; version <= 2; version++ {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address(l)+"/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("User-Agent", agent)
			got, err := secureClient(t, site, version == 2).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if got.Body.Close(); got.ProtoMajor != version {
				t.Errorf("HTTP/%d", got.ProtoMajor)
			}
			if r := counts(l, "m"); r.Connections != uint64(connections*version) {
				t.Errorf("%s, HTTP/%d: counts are %v", agent, version, r)
			}
		}
	}
}

// What may be a probe is copied once it is none, from its first byte on, and at its end at the
// latest.
func TestMirrorOfPieces(t *testing.T) {
	copies := make(chan net.Conn, 100)
	program := tunneltest.Listen(t, func(c net.Conn) { copies <- c }).Addr().String()
	echo := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		io.Copy(c, c)
	})
	l := capturing(t, echo.Addr().String(), laptops{"m": laptop(program)})
	l.Route(&rpc.CapturePort{Port: 80, Probes: []*rpc.Probe{{Kind: rpc.Probe_HTTP}}, Routes: []*rpc.Route{mirrorOf("m", nil)}})
	copied := 0
	for _, pieces := range [][]string{
		{"GET /healthz HTTP/1.1\r\nUser-", "Agent: kube-probe/1.36\r\n\r\n", "more"},
		{"GET /healthz HTTP/1.1\r\nUser-", "Agent: curl/8\r\n\r\n", "more"},
		{"GET /heal"},
	} {
		c := call(t, l)
		for _, piece := range pieces {
			fmt.Fprint(c, piece)
			if _, err := io.ReadFull(c.in, make([]byte, len(piece))); err != nil {
				t.Fatal(err)
			}
		}
		c.Conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c.in)
		if sent := strings.Join(pieces, ""); !strings.Contains(sent, "kube-probe") {
			copied++
			if got, err := io.ReadAll(<-copies); string(got) != sent || err != nil {
				t.Errorf("copied %q, %v", got, err)
			}
		}
		if r := counts(l, "m"); r.Connections != uint64(copied) {
			t.Errorf("counts are %v", r)
		}
	}
}

// A program that never reads slows no caller. What it does not take is dropped and counted,
// and leaving does not wait for it.
func TestMirrorThatNeverReads(t *testing.T) {
	set, call, copies, count := bystander(t, mirrorOf("m", nil))
	c := call()
	line := strings.Repeat("x", 32<<10)
	for count().Fallbacks == 0 {
		fmt.Fprintln(c, line)
		if got, err := c.in.ReadString('\n'); len(got) != len("app ")+len(line)+1 {
			t.Fatalf("answered %d bytes, %v", len(got), err)
		}
	}
	if m := count().Missed; len(m) != 1 || m[0].Reason != rpc.Reason_TOO_SLOW || m[0].Connections != 1 {
		t.Errorf("dropped: %v", m)
	}
	c.answers(t, "app")
	set()
	c.answers(t, "app")
	<-copies
}

// A mirror takes no requests, and its end is told to nobody.
func TestMirrorIsNoRoute(t *testing.T) {
	for name, match := range map[string]*rpc.Match{"connections": nil, "requests": {}} {
		t.Run(name, func(t *testing.T) {
			m := mirrorOf("m", match)
			m.NoticeSeconds = 3600
			set, call, _, _ := bystander(t, m)
			call().answers(t, "app")
			set()
			call().answers(t, "app")
		})
	}
}
