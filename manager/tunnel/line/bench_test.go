package line

import (
	"context"
	"net/netip"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// The agent's leg: TLS with batched records, between two TCP connections.
func BenchmarkConn(b *testing.B) {
	for _, up := range []bool{true, false} {
		name := "down"
		if up {
			name = "up"
		}
		b.Run(name, func(b *testing.B) {
			caller, agentIn := tunneltest.Pair(b)
			agentOut, relay := flowPair(b)
			end, program := tunneltest.Pair(b)
			go tunnel.Pipe(tunnel.NewTCP(agentIn), agentOut, nil)
			go tunnel.Pipe(relay, tunnel.NewTCP(end), nil)
			if up {
				tunneltest.Pour(b, caller, program)
			} else {
				tunneltest.Pour(b, program, caller)
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
	near, far := flowPair(b)
	go Serve(b.Context(), far, func(*frame.Open) bool { return true }, answer)
	b.ReportAllocs()
	var now tunnel.Stream = near
	for b.Loop() {
		f := now.(*Conn)
		f.OnIdle(func(next tunnel.Stream) { now = next })
		if v, _, err := Ask(b.Context(), f, want); err != nil || v != frame.Accepted {
			b.Fatal(v, err)
		}
		if err := tunnel.Pipe(f, tunneltest.Ended{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
