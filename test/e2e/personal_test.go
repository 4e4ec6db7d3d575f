//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// endpoints are the addresses to which a Service leads.
func endpoints(l *lab.Lab, service string) []string {
	l.Helper()
	var list discoveryv1.EndpointSliceList
	l.Must(l.Client.List(l.Context(), &list, client.InNamespace(l.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service}))
	var addrs []string
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			if ptr.Deref(e.Conditions.Ready, false) {
				addrs = append(addrs, net.JoinHostPort(e.Addresses[0], fmt.Sprint(*s.Ports[0].Port)))
			}
		}
	}
	if len(addrs) != len(l.Pods()) {
		l.Fatalf("service %s leads to %v, and there are %d pods", service, addrs, len(l.Pods()))
	}
	return addrs
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
			addrs := append(endpoints(l, "quote"), quote, quote, quote)
			crowd(l, 2000, l.Nodes, addrs, everybody...)

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
	c, err := keep(l, l.Nodes[1], quote)
	l.Must(err)
	t.Cleanup(func() { c.conn.Close() })
	want := func(p person, name string) {
		t.Helper()
		if got, err := c.as(p); err != nil || got != name {
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
}
