//go:build e2e

package e2e

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// resolver is the name server that a laptop had before connect. It knows
// names below example.test.
type resolver struct {
	mu    sync.Mutex
	asked []string
}

// elsewhere is what it answers.
const elsewhere = "192.0.2.7"

// newResolver gives one to a laptop, at an address that the laptop has. It goes
// with the test.
func newResolver(t *testing.T, p *lab.Laptop, addr string) *resolver {
	t.Helper()
	return newResolverAt(t, p, p.Space, addr)
}

// newResolverAt is newResolver elsewhere.
func newResolverAt(t *testing.T, p *lab.Laptop, s *lab.Space, addr string) *resolver {
	t.Helper()
	r := &resolver{}
	r.serve(t, s, addr)
	before := p.Shell("cat /etc/resolv.conf")
	p.Shell("echo 'nameserver " + addr + "' >/etc/resolv.conf")
	t.Cleanup(func() { // the laptop lasts longer than the test
		cmd := p.ShCommand(context.Background(), "kubectl-intercept disconnect; printf '"+before+"' >/etc/resolv.conf")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("put the resolver back: %v: %s", err, out)
		}
	})
	return r
}

// serve answers at an address until the test ends.
func (r *resolver) serve(t *testing.T, s *lab.Space, addr string) {
	t.Helper()
	at := net.JoinHostPort(addr, "53")
	packets, err := s.ListenUDP(at)
	must(t, err)
	streams, err := s.Listen(at)
	must(t, err)
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: r}, {Listener: streams, Handler: r}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
}

// ServeDNS implements dns.Handler.
func (r *resolver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	name := strings.ToLower(q.Question[0].Name)
	r.mu.Lock()
	r.asked = append(r.asked, name)
	r.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	switch {
	case !dns.IsSubDomain("example.test.", name):
		m.Rcode = dns.RcodeNameError
	case q.Question[0].Qtype == dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.ParseIP(elsewhere)}}
	}
	_ = w.WriteMsg(m) // who asked asks again
}

// heard are the names that it was asked for, with a word in them.
func (r *resolver) heard(word string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.asked), func(s string) bool { return !strings.Contains(s, word) })
}
