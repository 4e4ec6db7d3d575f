package mux

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// Throughput of one flow over one carrier on the loopback, both ways.
func BenchmarkFlow(b *testing.B) {
	for _, up := range []bool{true, false} {
		name := "down"
		if up {
			name = "up"
		}
		b.Run(name, func(b *testing.B) {
			server := make(chan *net.TCPConn, 1)
			g := rig(b, 1, func(c net.Conn) { server <- c.(*net.TCPConn) })
			caller, _ := open(b, g, nil)
			if up {
				tunneltest.Pour(b, caller, <-server)
			} else {
				tunneltest.Pour(b, <-server, caller)
			}
		})
	}
}

// BenchmarkOpen is a whole short flow, from Open to the end of both directions.
func BenchmarkOpen(b *testing.B) {
	answer := func(_ context.Context, _ *frame.Open, in tunnel.Incoming) error {
		if err := in.Accept(); err != nil {
			return err
		}
		return in.Join(tunneltest.Ended{}, nil)
	}
	want := &frame.Open{Intercept: "shop/quote", InterceptUID: "7d1c8f3e-5a0b-4c57-9a43-0f7e9d5b1c11", Session: "alice-laptop", Port: 8080,
		Source: netip.MustParseAddrPort("10.244.0.7:41712"), First: []byte("GET / HTTP/1.1\r\nHost: quote\r\n\r\n")}
	near, far := tunneltest.Pair(b)
	g, up := NewGroup(NewBudget(1<<20)), make(chan struct{})
	go Serve(b.Context(), far, NewBudget(1<<20), answer)
	go g.Add(b.Context(), near, func() { close(up) })
	<-up
	b.ReportAllocs()
	for b.Loop() {
		f, err := g.Open(b.Context(), want)
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Confirm(); err != nil {
			b.Fatal(err)
		}
		if err := f.Join(tunneltest.Ended{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
