package nameserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

func TestOddQueries(t *testing.T) {
	s := New(Config{}, quiet())
	good := new(dns.Msg)
	good.SetQuestion("hello.localhost.", dns.TypeA)
	packed := func(change func(*dns.Msg)) []byte {
		m := good.Copy()
		change(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	asking := func(name string, qtype, class uint16) []byte {
		return packed(func(m *dns.Msg) { m.Question[0] = dns.Question{Name: name, Qtype: qtype, Qclass: class} })
	}
	plain := packed(func(*dns.Msg) {})
	for name, c := range map[string]struct {
		packet []byte
		want   int // -1: no answer
	}{
		"nothing":        {nil, -1},
		"no header":      {plain[:11], -1},
		"an answer":      {packed(func(m *dns.Msg) { m.Response = true }), -1},
		"NOTIFY":         {packed(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented},
		"UPDATE":         {packed(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented},
		"header only":    {plain[:12], dns.RcodeFormatError},
		"cut name":       {plain[:20], dns.RcodeFormatError},
		"cut type":       {plain[:len(plain)-3], dns.RcodeFormatError},
		"no question":    {packed(func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		"two questions":  {packed(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		"pointer":        {append(append(append([]byte(nil), plain[:12]...), 0xc0, 12), 0, 1, 0, 1), dns.RcodeFormatError},
		"long name":      {append(append(append([]byte(nil), plain[:12]...), bytes.Repeat(append([]byte{63}, make([]byte, 63)...), 4)...), 0, 0, 1, 0, 1), dns.RcodeFormatError},
		"missing record": {func() []byte { b := bytes.Clone(plain); b[11] = 1; return b }(), dns.RcodeFormatError},
		"two OPT":        {packed(func(m *dns.Msg) { m.SetEdns0(1232, false); m.Extra = append(m.Extra, m.Extra[0]) }), dns.RcodeFormatError},
		"EDNS 1":         {packed(func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), dns.RcodeBadVers},
		"AXFR":           {asking("cluster.local.", dns.TypeAXFR, dns.ClassINET), dns.RcodeRefused},
		"IXFR":           {asking("cluster.local.", dns.TypeIXFR, dns.ClassINET), dns.RcodeRefused},
		"ANY":            {asking("cluster.local.", dns.TypeANY, dns.ClassINET), dns.RcodeRefused},
		"CHAOS":          {asking("version.bind.", dns.TypeTXT, dns.ClassCHAOS), dns.RcodeRefused},
		"any class":      {asking("hello.localhost.", dns.TypeA, dns.ClassANY), dns.RcodeRefused},
		"good":           {plain, dns.RcodeSuccess},
		"with an option": {packed(func(m *dns.Msg) {
			m.SetEdns0(1232, true)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"})
		}), dns.RcodeSuccess},
	} {
		b := s.answer(context.Background(), c.packet, 0)
		if c.want < 0 {
			if b != nil {
				t.Errorf("%s: answer % x", name, b)
			}
			continue
		}
		var m dns.Msg
		if err := m.Unpack(b); err != nil || m.Rcode != c.want || m.Id != good.Id || !m.Response {
			t.Errorf("%s: %v, %v, want %s", name, err, m.MsgHdr, dns.RcodeToString[c.want])
		}
	}
}

func TestSizes(t *testing.T) {
	var records []string
	for i := range 100 {
		records = append(records, fmt.Sprintf("many.default.svc.cluster.local. 30 IN A 10.0.0.%d", i))
	}
	big := newZone(t, "cluster.local.", records...)
	w := newWorld(t, func(c *Config) { c.Cluster = big })
	for i := range 200 {
		w.laptop.add(t, fmt.Sprintf("many.example.com. 30 IN A 10.0.0.%d", i))
	}
	for name, n := range map[string]int{"many.": 100, "many.example.com.": 200} { // the latter by TCP from the laptop's resolver
		for _, size := range []uint16{0, 400, 1232, 65535} {
			q := new(dns.Msg)
			q.SetQuestion(name, dns.TypeA)
			if size > 0 {
				q.SetEdns0(size, false)
			}
			m := exchange(t, "udp", w.addr, q)
			if b, err := m.Pack(); err != nil || !m.Truncated || len(m.Answer) > 0 || len(b) > 512 || (m.IsEdns0() != nil) != (size > 0) {
				t.Errorf("%s, %d bytes: %v, %v", name, size, err, m)
			}
			if m = exchange(t, "tcp", w.addr, q); m.Truncated || len(m.Answer) != n {
				t.Errorf("%s by TCP: %d records, %v", name, len(m.Answer), m.MsgHdr)
			}
		}
	}
}

// If the cluster sends a truncated answer, programs get that, marked as truncated by UDP.
func TestPartOfAnAnswer(t *testing.T) {
	w := newWorld(t, nil)
	part := w.cluster
	w.server.Set(func() Config { c := w.config; c.Cluster = truncating{part}; return c }())
	if m := lookup(t, "udp", w.addr, "hello.", "A"); !m.Truncated {
		t.Errorf("by UDP: %v", m)
	}
	if m := lookup(t, "tcp", w.addr, "hello.", "A"); m.Truncated || len(m.Answer) != 1 {
		t.Errorf("by TCP: %v", m)
	}
}

type truncating struct{ *zone }

func (z truncating) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	m, err := z.zone.Exchange(ctx, q)
	if m != nil {
		m.Truncated = true
	}
	return m, err
}

// The sockets of a netstack are not addrPortConns.
func TestAnyPacketConn(t *testing.T) {
	w := newWorld(t, nil)
	packets, l := sockets(t)
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx, struct{ net.PacketConn }{packets}, nil) }()
	for range 2 { // the second is known
		if got := text(lookup(t, "udp", packets.LocalAddr().String(), "hello.", "A")); got != "NOERROR; hello. A 10.96.0.7" {
			t.Error(got)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Many queries on one connection, one byte at a time.
func TestOneConnection(t *testing.T) {
	w := newWorld(t, nil)
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	conn := &dns.Conn{Conn: c}
	for _, name := range []string{"hello.", "quote.", "both.", "www.example.com."} {
		q := new(dns.Msg)
		q.SetQuestion(name, dns.TypeA)
		b, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) {
			if _, err := c.Write([]byte{x}); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := conn.ReadMsg(); err != nil || m.Id != q.Id || len(m.Answer) == 0 {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	z := newZone(f, "cluster.local.", "hello.default.svc.cluster.local. 30 IN A 10.96.0.7",
		"db.default.svc.cluster.local. 30 IN MX 10 hello.default.svc.cluster.local.")
	s := New(Config{Cluster: z, Names: names.Config{Namespace: "default", Include: []string{"corp"}, Mappings: map[string]string{"a.b": "hello", "c.d": "c.d"},
		CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}, quiet())
	for _, name := range []string{"hello.", "HELLO.Default.svc.cluster.local.", "a.b.", "c.d.", "x.corp.", "1.0.0.10.in-addr.arpa.", `a\.b\000.svc.`, "."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypePTR} {
			q := new(dns.Msg)
			q.SetQuestion(name, qtype)
			q.SetEdns0(1232, qtype == dns.TypeA)
			b, err := q.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		limits := []int{0, dns.MaxMsgSize, 0} // the last from the cache, maybe
		for _, limit := range limits {
			b := s.answer(context.Background(), packet, limit)
			if b == nil {
				if len(packet) >= 12 && packet[2]&0x80 == 0 {
					t.Fatal("a query without an answer")
				}
				return
			}
			var m dns.Msg
			if err := m.Unpack(b); err != nil {
				t.Fatalf("answer % x: %v", b, err)
			}
			if m.Id != binary.BigEndian.Uint16(packet) || !m.Response {
				t.Fatalf("answer %v", m.MsgHdr)
			}
			if limit == 0 && len(b) > wire.MaxSize {
				t.Fatalf("%d bytes", len(b))
			}
			if q := new(dns.Msg); m.Rcode == dns.RcodeSuccess && q.Unpack(packet) == nil && m.Question[0] != q.Question[0] {
				t.Fatalf("%v answers %v", m.Question, q.Question)
			}
		}
	})
}
