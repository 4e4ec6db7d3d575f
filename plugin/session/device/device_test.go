//go:build linux

package device

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device/devicetest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// oneAddress answers every question with one address, or an error.
type oneAddress struct {
	addr netip.Addr
	err  error
}

func (n oneAddress) Exchange(_ context.Context, q *dns.Msg) (*dns.Msg, error) {
	if n.err != nil {
		return nil, n.err
	}
	m := new(dns.Msg)
	m.SetReply(q)
	if q.Question[0].Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: n.addr.AsSlice()}}
	}
	return m, nil
}

func want() Want {
	return Want{Names: names.Config{Namespace: "shop", Domain: "cluster.local"}, Networks: prefixes("10.96.0.0/16", "10.244.0.0/16")}
}

type lab struct {
	netd   *devicetest.Netd
	socket string
	gate   outbound.Gate
	names  oneAddress
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{socket: filepath.Join(t.TempDir(), "netd.sock"), names: oneAddress{addr: netip.MustParseAddr("10.96.0.7")}}
	l.netd = devicetest.Listen(t, l.socket)
	return l
}

func (l *lab) open(t *testing.T, w Want) (*Device, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return Open(ctx, Config{Socket: l.socket, Want: w, DNS: l.names, Log: slog.New(slog.DiscardHandler),
		Dialer: &outbound.Dialer{Gate: &l.gate, Group: mux.NewGroup(mux.NewBudget(1 << 20))}})
}

func (l *lab) must(t *testing.T, w Want) *Device {
	t.Helper()
	d, err := l.open(t, w)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { d.Close() }) })
	return d
}

func TestOpenUpdateClose(t *testing.T) {
	l := newLab(t)
	d := l.must(t, want())
	s := d.Status()
	if s.Interface != "intercept0" || s.DNSMode != handover.DNSResolvConf || !slices.Equal(s.Routes, prefixes("10.96.0.0/16", "10.244.0.0/16")) ||
		len(s.Clashing) > 0 || s.Virtual.IsValid() || s.DNS != netip.MustParseAddr("198.18.0.2") {
		t.Errorf("status %+v", s)
	}
	c := l.netd.Asked()[0]
	if !slices.Equal(c.Addresses, prefixes("198.18.0.1/28")) || c.DNS.Server != s.DNS || c.DNS.Ndots != 5 || c.DNS.Search[0] != "shop.svc.cluster.local" {
		t.Errorf("asked for %+v", c)
	}
	other := want()
	other.Names.Namespace, other.Never = "tools", prefixes("10.244.7.0/24")
	if d.Wants(other) {
		t.Error("it wants something else before it is told")
	}
	if err := d.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	s = d.Status()
	if !d.Wants(other) || s.Namespace != "tools" || slices.Contains(s.Routes, netip.MustParsePrefix("10.244.0.0/16")) || s.Search[0] != "tools.svc.cluster.local" {
		t.Errorf("after the update: %+v", s)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	<-d.Done()
	if n := l.netd.Open(); n != 0 {
		t.Errorf("%d networks are left", n)
	}
}

// Networks that netd refuses get virtual addresses, and keep them when it refuses more.
func TestRefusedIsPlannedAround(t *testing.T) {
	l := newLab(t)
	vpn := prefixes("10.244.8.0/24")
	var mu sync.Mutex
	l.netd.Refusal = func(_ string, c *handover.Config) error {
		mu.Lock()
		defer mu.Unlock()
		var conflicts []handover.Conflict
		for _, r := range c.Routes {
			for _, v := range vpn {
				if r.Overlaps(v) {
					conflicts = append(conflicts, handover.Conflict{Reason: handover.ReasonOverlap, Route: r, With: v, Device: "wg0"})
				}
			}
		}
		return handover.Refuse(conflicts)
	}
	d := l.must(t, want())
	s := d.Status()
	if !slices.Equal(s.Clashing, vpn) || s.Virtual != netip.MustParsePrefix("198.18.0.0/16") || !slices.Contains(s.Routes, s.Virtual) {
		t.Fatalf("status %+v", s)
	}
	pod := netip.MustParseAddr("10.244.8.9")
	seen := d.translate(pod)
	if !s.Virtual.Contains(seen) || d.restore(seen) != pod {
		t.Errorf("%s appears as %s, which is %s", pod, seen, d.restore(seen))
	}
	if a := netip.MustParseAddr("10.244.9.9"); d.translate(a) != a {
		t.Errorf("%s has no need of another address", a)
	}
	mu.Lock()
	vpn = prefixes("10.244.8.0/24", "10.244.10.0/24")
	mu.Unlock()
	more := want()
	more.Names.Intercepted = []string{"tools"}
	if err := d.Update(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	if s := d.Status(); !slices.Equal(s.Clashing, vpn) || d.translate(pod) != seen {
		t.Errorf("after another refusal: %+v, %s is %s", s, pod, d.translate(pod))
	}
}

// A virtual subnet that is taken is replaced by the next one, unless the user wants it.
func TestVirtualSubnets(t *testing.T) {
	l := newLab(t)
	first := virtualSubnets[0]
	l.netd.Refusal = func(_ string, c *handover.Config) error {
		if c.Addresses[0].Overlaps(first) {
			return handover.Refuse([]handover.Conflict{{Reason: handover.ReasonAPIServer, Route: c.Addresses[0].Masked(), With: netip.MustParsePrefix("198.18.0.3/32")}})
		}
		return nil
	}
	d := l.must(t, want())
	if s := d.Status(); !virtualSubnets[1].Contains(s.DNS) {
		t.Errorf("the name server is %s", s.DNS)
	}
	w := want()
	w.Also = prefixes("198.18.7.0/24", "198.19.7.0/24")
	if d, err := l.open(t, w); err != nil || !virtualSubnets[2].Contains(d.Status().DNS) {
		t.Errorf("beside networks that overlap with virtual subnets: %v", err)
	} else {
		d.Close()
	}
	w = want()
	w.Virtual = first
	var refused *handover.RefusedError
	if _, err := l.open(t, w); !errors.As(err, &refused) {
		t.Errorf("the user's own choice: %v", err)
	}
	if n := l.netd.Open(); n != 1 {
		t.Errorf("%d networks, want the first alone", n)
	}
}

// An update that fails with another error changes nothing.
func TestFailures(t *testing.T) {
	l := newLab(t)
	var fail error
	l.netd.Refusal = func(op string, _ *handover.Config) error { return fail }
	fail = errors.New("no such device")
	if _, err := l.open(t, want()); err == nil || !strings.Contains(err.Error(), "no such device") {
		t.Errorf("open: %v", err)
	}
	fail = nil
	d := l.must(t, want())
	fail = errors.New("out of order")
	other := want()
	other.Names.Namespace = "tools"
	if err := d.Update(t.Context(), other); err == nil || !d.Wants(want()) || d.Status().Namespace != "shop" {
		t.Errorf("update: %v, status %+v", err, d.Status())
	}
	l.netd.Kill()
	<-d.Done()
	if err := d.Update(t.Context(), other); !errors.Is(err, handover.ErrGone) {
		t.Errorf("update without netd: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("close without netd: %v", err)
	}
	if _, err := l.open(t, want()); err == nil {
		t.Error("opened without netd")
	}
}

// Several goroutines update a Device: the last update counts.
func TestUpdatesTakeTurns(t *testing.T) {
	l := newLab(t)
	d := l.must(t, want())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			w := want()
			w.Names.Namespace = string(rune('a' + i))
			if err := d.Update(context.Background(), w); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	asked := l.netd.Asked()
	last := asked[len(asked)-1]
	if got := d.Status(); !strings.HasPrefix(last.DNS.Search[0], got.Namespace+".") {
		t.Errorf("netd has %v, the device %s", last.DNS.Search, got.Namespace)
	}
}

// sum is the checksum of RFC 1071.
func sum(parts ...[]byte) uint16 {
	var s uint32
	for _, b := range parts {
		for i := 0; i+1 < len(b); i += 2 {
			s += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		if len(b)%2 == 1 {
			s += uint32(b[len(b)-1]) << 8
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// packet is IPv4 from the laptop.
func packet(proto byte, to netip.Addr, payload []byte) []byte {
	p := make([]byte, 20, 20+len(payload))
	p[0], p[8], p[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(p[2:], uint16(20+len(payload)))
	from := netip.MustParseAddr("198.18.0.1").As4()
	dst := to.As4()
	copy(p[12:], from[:])
	copy(p[16:], dst[:])
	binary.BigEndian.PutUint16(p[10:], sum(p))
	return append(p, payload...)
}

func syn(to netip.AddrPort) []byte {
	h := make([]byte, 20)
	binary.BigEndian.PutUint16(h, 40000)
	binary.BigEndian.PutUint16(h[2:], to.Port())
	binary.BigEndian.PutUint32(h[4:], 1)
	h[12], h[13] = 5<<4, 2
	binary.BigEndian.PutUint16(h[14:], 65535)
	p := packet(6, to.Addr(), h)
	pseudo := slices.Concat(p[12:20], []byte{0, 6, 0, 20})
	binary.BigEndian.PutUint16(p[36:], sum(pseudo, p[20:]))
	return p
}

func question(to netip.AddrPort, name string) []byte {
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeA)
	b, err := q.Pack()
	if err != nil {
		panic(err)
	}
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h, 40001)
	binary.BigEndian.PutUint16(h[2:], to.Port())
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(b)))
	return packet(17, to.Addr(), append(h, b...)) // without a checksum, as IPv4 allows
}

// exchange sends a packet and waits for one of the same protocol.
func (l *lab) exchange(t *testing.T, p []byte) []byte {
	t.Helper()
	laptop := l.netd.Laptop()
	laptop.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := laptop.Write(p); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := laptop.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if n >= 40 && b[0]>>4 == 4 && b[9] == p[9] {
			return b[20:n]
		}
	}
}

const rst = 4

// Programs are refused at once while the cluster is out of reach.
func TestOutOfReach(t *testing.T) {
	l := newLab(t)
	l.names.err = outbound.ErrAway
	d := l.must(t, want())
	quote := netip.MustParseAddrPort("10.96.0.7:80")
	for name, open := range map[string]bool{"no carrier": true, "the gate is shut": false} {
		l.gate.Set(open)
		if h := l.exchange(t, syn(quote)); h[13]&rst == 0 {
			t.Errorf("%s: a SYN is answered with flags %#x, want a reset", name, h[13])
		}
		h := l.exchange(t, question(netip.AddrPortFrom(d.Status().DNS, 53), "quote.shop.svc.cluster.local."))
		m := new(dns.Msg)
		if err := m.Unpack(h[8:]); err != nil || m.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: DNS answers %v, %v", name, m, err)
		}
	}
}

// The name server on the TUN answers with the virtual address of what clashes.
func TestNamesAreTranslated(t *testing.T) {
	l := newLab(t)
	l.netd.Refusal = func(_ string, c *handover.Config) error {
		if slices.Contains(c.Routes, netip.MustParsePrefix("10.96.0.0/16")) {
			return handover.Refuse([]handover.Conflict{{Reason: handover.ReasonOverlap, Route: c.Routes[0], With: netip.MustParsePrefix("10.96.0.0/24")}})
		}
		return nil
	}
	d := l.must(t, want())
	h := l.exchange(t, question(netip.AddrPortFrom(d.Status().DNS, 53), "quote.shop.svc.cluster.local."))
	m := new(dns.Msg)
	if err := m.Unpack(h[8:]); err != nil || len(m.Answer) != 1 {
		t.Fatalf("%v, %v", m, err)
	}
	a, _ := netip.AddrFromSlice(m.Answer[0].(*dns.A).A.To4())
	if s := d.Status(); !s.Virtual.Contains(a) || d.restore(a) != netip.MustParseAddr("10.96.0.7") {
		t.Errorf("the quote is at %s, virtual %s", a, s.Virtual)
	}
}
