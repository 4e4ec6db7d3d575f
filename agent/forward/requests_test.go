package forward_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// website is the address of a web server that answers every request with its name and
// the path. It speaks HTTP/1 and, with prior knowledge, HTTP/2.
func website(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, name, " ", r.URL.Path)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// personal is a route for requests whose header x-user has this value.
func personal(user string) *rpc.Route {
	r := route(user, user)
	r.Match = &rpc.Match{Conditions: []*rpc.Condition{{Part: rpc.Condition_HEADER, Name: "x-user", Op: rpc.Condition_REGEXP, Value: user}}}
	return r
}

// team is a listener in front of a website, with a personal route for alice and bob each.
func team(t *testing.T, more ...*rpc.Route) *tcp.Listener {
	t.Helper()
	l := capturing(t, website(t, "app"), laptops{
		"alice": laptop(website(t, "alice")), "bob": laptop(website(t, "bob")), "all": laptop(website(t, "all"))})
	l.Route(&rpc.CapturePort{Port: 80, Routes: append([]*rpc.Route{personal("alice"), personal("bob")}, more...)})
	return l
}

// clients keep one connection each, for HTTP/1 and HTTP/2.
func clients(t *testing.T) map[string]*http.Client {
	all := map[string]*http.Client{}
	for name, set := range map[string]func(*http.Protocols){
		"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		transport := &http.Transport{MaxConnsPerHost: 1, Protocols: new(http.Protocols)}
		set(transport.Protocols)
		t.Cleanup(transport.CloseIdleConnections)
		all[name] = &http.Client{Transport: transport}
	}
	return all
}

// ask sends a request of a user, and wants this website to answer.
func ask(t *testing.T, c *http.Client, l *tcp.Listener, user, path, website string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address(l)+path, nil)
	if err != nil {
		t.Error(err)
		return
	}
	if user != "" {
		r.Header.Set("X-User", user)
	}
	got, err := c.Do(r)
	if err != nil {
		t.Errorf("a request of %q: %v", user, err)
		return
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != website+" "+path {
		t.Errorf("a request of %q: answered %q, %v, not by %s", user, body, err, website)
	}
}

// Requests on one connection go to whom they are for, many at once, and are counted.
func TestRequestsAreToldApart(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			l := team(t)
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					for n := range 50 {
						path := fmt.Sprintf("/%d/%d", worker, n)
						ask(t, client, l, "alice", path, "alice")
						ask(t, client, l, "", path, "app")
						ask(t, client, l, "bob", path, "bob")
						ask(t, client, l, "carol", path, "app")
					}
				})
			}
			wg.Wait()
			for _, user := range []string{"alice", "bob"} {
				if c := counts(l, user); c.Requests != 200 || c.Fallbacks != 0 {
					t.Errorf("counts of %s are %v", user, c)
				}
			}
		})
	}
}

// A global intercept beside personal ones has the requests that are nobody's, and
// connections that carry something else.
func TestPersonalBesideGlobal(t *testing.T) {
	l := team(t, route("all", "all"))
	for _, client := range clients(t) {
		ask(t, client, l, "alice", "/", "alice")
		ask(t, client, l, "", "/", "all")
	}
	lines := capturing(t, named(t, "app"), laptops{"all": laptop(named(t, "all"))})
	lines.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	call(t, lines).answers(t, "all")
}

// Routes come and go while a connection is open.
func TestRoutesChangeUnderAConnection(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			l := team(t)
			ask(t, client, l, "alice", "/1", "alice")
			l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("bob")}})
			ask(t, client, l, "alice", "/2", "app")
			l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), personal("bob")}})
			ask(t, client, l, "alice", "/3", "alice")
			ask(t, client, l, "bob", "/4", "bob")
		})
	}
}

// A connection that a global intercept has begins anew once requests are told apart.
func TestPersonalInterceptComesLater(t *testing.T) {
	l := capturing(t, named(t, "app"), laptops{"all": laptop(named(t, "all")), "alice": laptop(named(t, "alice"))})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{route("all", "all")}})
	c := call(t, l)
	c.answers(t, "all")
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	c.isReset(t)

	away := route("all", "all")
	away.Relays = nil
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{away}})
	fallback := call(t, l)
	fallback.answers(t, "app")
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	fallback.isReset(t)

	again := call(t, l)
	again.answers(t, "all")
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	again.answers(t, "all") // not HTTP: nothing of it can be told apart
}

// A laptop that does not answer leaves its requests to the application. Without a
// fallback, the agent says what happened.
func TestRequestsOfAnAbsentLaptop(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			l := team(t)
			carol, closed := personal("carol"), personal("dave")
			closed.NoFallback = true
			l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{carol, closed}})
			ask(t, client, l, "carol", "/", "app")
			if c := counts(l, "carol"); c.Requests != 1 || c.Fallbacks != 1 {
				t.Errorf("counts are %v", c)
			}
			r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+address(l), nil)
			r.Header.Set("X-User", "dave")
			got, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Body.Close()
			if body, _ := io.ReadAll(got.Body); got.StatusCode != 502 || !strings.Contains(string(body), "shop/dave") {
				t.Errorf("status %d: %s", got.StatusCode, body)
			}
		})
	}
}

// What is not HTTP reaches the application, also where the server speaks first and
// where the client is silent before it sends a request.
func TestWhatIsNotHTTP(t *testing.T) {
	greeter := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		fmt.Fprintln(c, "220 welcome")
		io.Copy(c, c)
	})
	l := capturing(t, greeter.Addr().String(), laptops{"alice": laptop(website(t, "alice"))})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}})
	c := call(t, l)
	if line, err := c.in.ReadString('\n'); line != "220 welcome\n" {
		t.Fatalf("the server says %q, %v", line, err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nx-user: alice\r\n\r\n") // it spoke first: this is no request
	for range 3 {
		if _, err := c.in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	call(t, capturingLines(t)).answers(t, "app")
}

func capturingLines(t *testing.T) *tcp.Listener {
	t.Helper()
	l := capturing(t, named(t, "app"), laptops{"alice": laptop(named(t, "alice"))})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}})
	return l
}

// The kubelet's probes are the application's, whatever their headers are.
func TestProbesAmongRequests(t *testing.T) {
	l := team(t)
	probe := &rpc.Probe{Kind: rpc.Probe_HTTP, Target: "/healthz", Headers: []*rpc.Header{{Name: "X-User", Value: "alice"}}}
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}, Probes: []*rpc.Probe{probe}})
	c := call(t, l)
	for agent, want := range map[string]string{"kube-probe/1.36": "app /healthz", "curl": "alice /healthz"} {
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: shop\r\nUser-Agent: %s\r\nX-User: alice\r\n\r\n", agent)
		got, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(got.Body); string(body) != want {
			t.Errorf("%s is answered %q", agent, body)
		}
	}
}

// A personal intercept that has ended is told of, in the words of HTTP and of gRPC, until
// it is back.
func TestEndedIntercept(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			l := team(t)
			told := personal("alice")
			told.User, told.Mark, told.NoticeSeconds = "alice@example.com", "quote", 3600
			l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{told, personal("bob")}})
			send := func() *http.Response {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+address(l), nil)
				r.Header.Set("X-User", "alice")
				got, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			got := send()
			if got.Body.Close(); got.StatusCode != 200 || got.Header.Get("X-Intercept") != "quote" {
				t.Errorf("status %d, header %v", got.StatusCode, got.Header)
			}
			if until := l.Route(&rpc.CapturePort{Port: 80}); until.IsZero() {
				t.Error("nobody is told")
			}
			got = send()
			if body, _ := io.ReadAll(got.Body); got.StatusCode != 503 || !strings.Contains(string(body), "shop/alice of alice@example.com ended at ") {
				t.Errorf("status %d: %s", got.StatusCode, body)
			}
			got.Body.Close()
			ask(t, client, l, "bob", "/", "app") // does not tell
			l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{told}})
			ask(t, client, l, "alice", "/", "alice")
			l.Leave()
			ask(t, client, l, "alice", "/", "app")
		})
	}
}

// Nobody is told of a route that the agent has not followed, and of an intercept that is
// back under another session.
func TestEndedForNobody(t *testing.T) {
	client := clients(t)["HTTP/1"]
	unknown, copies, first := personal("alice"), personal("alice"), personal("alice")
	unknown.Match.Conditions[0].Op = 100
	copies.Mode = 100
	for _, r := range []*rpc.Route{unknown, copies, first} {
		r.NoticeSeconds = 3600
	}
	second := personal("alice")
	second.Session, second.Match.Conditions[0].Value = "another", "ann"
	for what, routes := range map[string][2][]*rpc.Route{
		"an operation that is not known": {{unknown}, nil},
		"a mode that is not known":       {{copies}, nil},
		"another session":                {{first}, {second}},
	} {
		l := team(t)
		l.Route(&rpc.CapturePort{Port: 80, Routes: routes[0]})
		if until := l.Route(&rpc.CapturePort{Port: 80, Routes: routes[1]}); !until.IsZero() {
			t.Errorf("%s: told until %v", what, until)
		}
		ask(t, client, l, "alice", "/", "app")
	}
}
