package tunnel

import (
	"io"
	"net"
	"testing"
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
