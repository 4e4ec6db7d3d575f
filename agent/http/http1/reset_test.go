package http1

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestResets: a reset within what the kernel moves arrives as a reset, however much was
// sent before it and wherever it stands.
func TestResets(t *testing.T) {
	const upgraded = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	heads := []struct{ name, request, response string }{
		{"within a sized body", "POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"},
		{"within a tunnel", "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n", upgraded},
		{"within a body up to the end", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
	}
	for _, tt := range heads {
		for _, from := range []string{"caller", "app"} {
			t.Run(tt.name+" from "+from, func(t *testing.T) {
				for round := range 20 {
					p := newPlay(t).start("")
					caller, app := p.conn("caller"), (*net.TCPConn)(nil)
					io.WriteString(caller, tt.request)
					app = p.conn("app")
					read(t, app, len(tt.request))
					if from == "app" || tt.response == upgraded {
						io.WriteString(app, tt.response)
						read(t, caller, len(tt.response))
					}
					a, b := caller, app
					if from == "app" {
						a, b = app, caller
					}
					go func() {
						a.Write([]byte(strings.Repeat("x", round*100<<10)))
						a.SetLinger(0)
						a.Close()
					}()
					b.SetReadDeadline(time.Now().Add(patience))
					if _, err := io.Copy(io.Discard, b); !errors.Is(err, syscall.ECONNRESET) {
						t.Fatalf("after %d: %v", round*100<<10, err)
					}
					p.over()
				}
			})
		}
	}
}

func read(t *testing.T, c net.Conn, n int) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}
