package nameserver

import (
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver/wire"
)

// BenchmarkCached is the path of a known answer, without sockets.
func BenchmarkCached(b *testing.B) {
	s, packet := cached(b)
	out := make([]byte, 0, dns.MaxMsgSize)
	b.ReportAllocs()
	for b.Loop() {
		if reply, done := s.fast(out, packet, 0); !done || len(reply) == 0 {
			b.Fatal("not cached")
		}
	}
}

// BenchmarkSocket has loopback in between; several queries are on their way.
func BenchmarkSocket(b *testing.B) {
	s, packet := cached(b)
	addr := serve(b, s)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, wire.MaxSize)
		for pb.Next() {
			if _, err := c.Write(packet); err != nil {
				b.Error(err)
				return
			}
			if _, err := c.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// The path of a known answer does not allocate.
func TestCachedAllocatesNothing(t *testing.T) {
	s, packet := cached(t)
	out := make([]byte, 0, dns.MaxMsgSize)
	if n := testing.AllocsPerRun(100, func() {
		if reply, done := s.fast(out, packet, 0); !done || len(reply) == 0 {
			t.Fatal("not cached")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// cached is a Server that knows the answer to a query.
func cached(t testing.TB) (*Server, []byte) {
	t.Helper()
	z := newZone(t, "cluster.local.", "hello.default.svc.cluster.local. 3000 IN A 10.96.0.7")
	s := New(Config{Cluster: z, Names: names.Config{Namespace: "default"}}, quiet())
	q := new(dns.Msg)
	q.SetQuestion("hello.default.svc.cluster.local.", dns.TypeA)
	q.SetEdns0(wire.MaxSize, false)
	packet, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if s.answer(t.Context(), packet, 0) == nil {
		t.Fatal("no answer")
	}
	return s, packet
}
