package http1

import (
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

const (
	askText    = "GET /some/path?x=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	answerText = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
)

// answering is an application that answers every request with the same text.
func answering(t testing.TB, text string) *target {
	l := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		answer := []byte(text)
		for b := make([]byte, len(askText)); ; {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	return &target{addr: l.Addr().String()}
}

// ask sends a request and reads the answer.
func ask(t testing.TB, c net.Conn, request, answer []byte) {
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
}

// served is a connection that is served by one target.
func served(t testing.TB, to *target) net.Conn {
	near, far := tunneltest.Pair(t)
	go Serve(t.Context(), tunnel.NewTCP(far), nil, &paths{application: to}, slog.New(slog.DiscardHandler))
	return near
}

// TestNoAllocations: a request of a connection that is kept costs no memory, with a mark or
// without.
func TestNoAllocations(t *testing.T) {
	for _, mark := range []http.Field{{}, {Name: "x-intercept", Value: "blue"}} {
		to := answering(t, answerText)
		to.mark = mark
		more := 0
		if mark.Name != "" {
			more = len("x-intercept: blue\r\n")
		}
		c := served(t, to)
		request, answer := []byte(askText), make([]byte, len(answerText)+more)
		ask(t, c, request, answer)
		if n := testing.AllocsPerRun(500, func() { ask(t, c, request, answer) }); n > 0 {
			t.Errorf("%.1f allocations per request", n)
		}
	}
}

// BenchmarkRequest is a small request of a connection that is kept, through Serve, through
// a pipe that reads nothing, and direct.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		text := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + map[int]string{1 << 10: "1024", 1 << 20: "1048576"}[size] + "\r\n\r\n" + string(make([]byte, size))
		to := answering(b, text)
		for _, way := range []struct {
			name string
			dial func() net.Conn
		}{
			{"direct", func() net.Conn {
				c, err := net.Dial("tcp", to.addr)
				if err != nil {
					b.Fatal(err)
				}
				return c
			}},
			{"pipe", func() net.Conn {
				near, far := tunneltest.Pair(b)
				s, err := to.Open(b.Context(), nil)
				if err != nil {
					b.Fatal(err)
				}
				go tunnel.Pipe(tunnel.NewTCP(far), s, nil)
				return near
			}},
			{"serve", func() net.Conn { return served(b, to) }},
		} {
			b.Run(way.name+"/"+map[int]string{1 << 10: "1KiB", 1 << 20: "1MiB"}[size], func(b *testing.B) {
				c := way.dial()
				defer c.Close()
				request, answer := []byte(askText), make([]byte, len(text))
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					ask(b, c, request, answer)
				}
			})
		}
	}
}
