package tunnel

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// pour sends from one connection to the other and checks that all arrives.
func pour(b *testing.B, from, to net.Conn) {
	chunk := make([]byte, 128<<10)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	got := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(onlyWriter{io.Discard}, to)
		got <- n
	}()
	b.ResetTimer()
	for range b.N {
		if _, err := from.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	from.(*net.TCPConn).CloseWrite()
	if n := <-got; n != int64(b.N*len(chunk)) {
		b.Fatalf("received %d bytes of %d", n, b.N*len(chunk))
	}
}

// Throughput of one flow over one carrier on the loopback, both ways.
func BenchmarkFlow(b *testing.B) {
	for _, up := range []bool{true, false} {
		name := "down"
		if up {
			name = "up"
		}
		b.Run(name, func(b *testing.B) {
			server := make(chan net.Conn, 1)
			g := rig(b, 1, func(c net.Conn) { server <- c })
			caller, _ := open(b, g, nil)
			if up {
				pour(b, caller, <-server)
			} else {
				pour(b, <-server, caller)
			}
		})
	}
}

// The agent's leg: TLS with batched records, between two TCP connections.
func BenchmarkFlowConn(b *testing.B) {
	for _, up := range []bool{true, false} {
		name := "down"
		if up {
			name = "up"
		}
		b.Run(name, func(b *testing.B) {
			caller, agentIn := pair(b)
			agentOut, relay := flowPair(b)
			end, program := pair(b)
			go Pipe(NewTCP(agentIn), agentOut, nil)
			go Pipe(relay, NewTCP(end), nil)
			if up {
				pour(b, caller, program)
			} else {
				pour(b, program, caller)
			}
		})
	}
}

// onlyWriter hides ReadFrom, so that bytes pass through user space as they do
// in a program.
type onlyWriter struct{ io.Writer }

// BenchmarkOpen is a whole short flow, from Open to the end of both directions,
// on a line and on a carrier.
func BenchmarkOpen(b *testing.B) {
	answer := func(_ context.Context, _ *Open, in Incoming) error {
		if err := in.Accept(); err != nil {
			return err
		}
		return in.Join(nothing{}, nil)
	}
	want := &Open{Intercept: "shop/quote", InterceptUID: "7d1c8f3e-5a0b-4c57-9a43-0f7e9d5b1c11", Session: "alice-laptop", Port: 8080,
		Source: netip.MustParseAddrPort("10.244.0.7:41712"), First: []byte("GET / HTTP/1.1\r\nHost: quote\r\n\r\n")}
	b.Run("line", func(b *testing.B) {
		near, far := flowPair(b)
		go ServeLine(b.Context(), far, func(*Open) bool { return true }, answer)
		b.ReportAllocs()
		var now Stream = near
		for b.Loop() {
			f := now.(*FlowConn)
			f.OnIdle(func(next Stream) { now = next })
			if v, _, err := Ask(b.Context(), f, want); err != nil || v != Accepted {
				b.Fatal(v, err)
			}
			if err := Pipe(f, nothing{}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("carrier", func(b *testing.B) {
		near, far := pair(b)
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
			if err := f.Join(nothing{}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// nothing is a Stream that has ended.
type nothing struct{}

func (nothing) Read([]byte) (int, error)         { return 0, io.EOF }
func (nothing) Write(p []byte) (int, error)      { return len(p), nil }
func (nothing) CloseWrite() error                { return nil }
func (nothing) Reset()                           {}
func (nothing) Close() error                     { return nil }
func (nothing) SetReadDeadline(time.Time) error  { return nil }
func (nothing) SetWriteDeadline(time.Time) error { return nil }
