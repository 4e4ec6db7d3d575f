//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// person is a developer, what they type, and what their requests have.
type person struct {
	name, match string
	mark        func(http.Header)
}

func header(name, value string) func(http.Header) {
	return func(h http.Header) { h.Set(name, value) }
}

// people share a port, and nobody is a caller without a mark of theirs.
var (
	people = []person{
		{"alice", "x-user=alice", header("X-User", "alice")},
		{"bob", "baggage:user=bob", header("baggage", "tenant=shop;ttl=1, user=bob")},
		{"carol", "cookie:user=carol", header("Cookie", "theme=dark; user=carol")},
	}
	nobody = person{lab.Application, "", header("X-User", "alice2")}
)

// asking is one connection of a caller, which is kept.
type asking struct {
	client *http.Client
	addr   string
	opened int // connections
}

func keep(s *lab.Space, addr string) *asking {
	return &asking{client: s.HTTP(), addr: addr}
}

// as asks with the mark of a person, and returns the name in the answer.
func (a *asking) as(l *lab.Lab, p person) (string, error) {
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			a.opened++
		}
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(l.Context(), trace), http.MethodGet, "http://"+a.addr+"/", nil)
	if err != nil {
		return "", err
	}
	p.mark(req.Header)
	resp, err := a.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	name, _, _ := strings.Cut(strings.TrimPrefix(string(body), "answered by "), " (")
	return name, err
}

// noneAstray sends requests of all people in turn over each of many connections at once,
// and wants those answered by the person whose mark they have.
func noneAstray(l *lab.Lab, addrs []string, all ...person) {
	l.Helper()
	const rounds = 25
	var wg sync.WaitGroup
	errs := make(chan error, len(addrs)*len(l.Nodes))
	for _, addr := range addrs {
		for _, node := range l.Nodes {
			wg.Go(func() {
				a := keep(node, addr)
				defer a.client.CloseIdleConnections()
				for n := range rounds * len(all) {
					p := all[n%len(all)]
					if got, err := a.as(l, p); err != nil || got != p.name {
						errs <- fmt.Errorf("%s, request %d: %q answers what is for %q (%v)", addr, n, got, p.name, err)
						return
					}
				}
				if a.opened != 1 {
					errs <- fmt.Errorf("%s: %d connections for all requests, want one", addr, a.opened)
				}
			})
		}
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		l.Error(err)
	}
	if l.Failed() {
		l.FailNow()
	}
}

// TestPersonal has three people take their own requests of one port: by a header, by
// baggage and by a cookie. Callers send requests for each of them, and for none, over
// connections that they keep, to the Service and to each of its pods.
func TestPersonal(t *testing.T) {
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("replicas.yaml")
			quote := l.Serving("quote", "http")
			laptops := map[string]*lab.Laptop{}
			for n, p := range people {
				laptop := l.Laptop(p.name)
				laptops[p.name] = laptop
				o := laptop.Intercept("add", "quote", "--inject", string(inject), "--port", laptop.Serve(p.name).To(""), "--match", p.match)
				if !strings.Contains(o.Out, "Intercepting           : HTTP requests that match all of:\n      ") {
					t.Errorf("add says\n%s", o.Out)
				}
				here := append([]person{nobody}, people[:n+1]...)
				noneAstray(l, []string{quote}, here...)
			}
			everybody := append([]person{nobody}, people...)
			addrs := []string{quote, quote, quote}
			for _, p := range l.Pods() {
				addrs = append(addrs, net.JoinHostPort(p.Status.PodIP, "8080"))
			}
			noneAstray(l, addrs, everybody...)

			// Everybody sees whose requests go where, and may not take others'.
			for _, args := range [][]string{{"list"}, {"list", "-o", "wide"}, {"status"}} {
				out := laptops["bob"].Intercept(args...).Out
				for _, want := range []string{`header("x-user") ~= regexp("alice")`, `baggage("user") ~= regexp("bob")`, `cookie("user") ~= regexp("carol")`} {
					if !strings.Contains(out, want) {
						t.Errorf("%v does not say %s:\n%s", args, want, out)
					}
				}
			}
			dave := l.Laptop("dave")
			dave.Refused([]string{"add", "quote", "--port", dave.Serve("dave").To(""), "--match", "x-user=alice"}, "alice")
			noneAstray(l, addrs, everybody...)

			// Other conditions take effect in place, and the end of one leaves the others.
			ann := person{"ann", "x-user=ann", header("X-User", "ann")}
			laptops["alice"].Intercept("add", "quote", "--inject", string(inject), "--port", laptops["alice"].Serve("ann").To(""), "--match", ann.match)
			laptops["bob"].Intercept("leave", "quote")
			former := func(p person) person { return person{lab.Application, "", p.mark} }
			now := []person{nobody, ann, former(people[0]), former(people[1]), people[2]}
			noneAstray(l, addrs, now...)
			laptops["alice"].Intercept("leave", "quote")
			laptops["carol"].Intercept("leave", "quote")
			noneAstray(l, addrs, nobody, former(ann), former(people[0]), former(people[1]), former(people[2]))
		})
	}
}

// TestPersonalOnOneConnection keeps a connection while intercepts of its port begin, change
// and end: each request goes where it should when it is sent.
func TestPersonalOnOneConnection(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice, bob := l.Laptop("alice"), l.Laptop("bob")
	a, b := people[0], people[1]
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""), "--match", a.match)
	caller := keep(l.Nodes[1], quote)
	want := func(p person, name string) {
		t.Helper()
		if got, err := caller.as(l, p); err != nil || got != name {
			t.Fatalf("%q answers what is for %q (%v)", got, name, err)
		}
	}
	want(a, "alice")
	want(b, lab.Application)
	bob.Intercept("add", "quote", "--port", bob.Serve("bob").To(""), "--match", b.match)
	want(b, "bob")
	want(a, "alice")
	want(nobody, lab.Application)
	bob.Intercept("leave", "quote")
	want(b, lab.Application)
	want(a, "alice")
	if caller.opened != 1 {
		t.Errorf("%d connections, want one", caller.opened)
	}
}
