package web

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// serveHere starts a server and returns its address.
func serveHere(t *testing.T, name string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, name) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestRun(t *testing.T) {
	addr := serveHere(t, "pod")
	for _, tt := range []struct {
		name string
		load Load
	}{
		{"HTTP/1", Load{Protocol: HTTP1, Connections: 3, Size: 1 << 10}},
		{"HTTP/1, large", Load{Protocol: HTTP1, Connections: 2, Size: 1 << 20}},
		{"HTTP/1, fresh", Load{Protocol: HTTP1, Connections: 2, Size: 1 << 10, Fresh: true}},
		{"HTTP/1, POST", Load{Protocol: HTTP1, Connections: 2, Size: 1 << 10, Post: true}},
		{"HTTP/1, large POST", Load{Protocol: HTTP1, Connections: 2, Size: 1 << 20, Post: true}},
		{"HTTP/2", Load{Protocol: HTTP2, Connections: 1, Streams: 100, Size: 1 << 10}},
		{"HTTP/2, large", Load{Protocol: HTTP2, Connections: 1, Streams: 10, Size: 1 << 20}},
		{"gRPC", Load{Protocol: GRPC, Connections: 1, Streams: 100, Size: 1 << 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const count = 120
			tt.load.Field, tt.load.Value, tt.load.Server = "x-bench", "nobody", "pod"
			r, err := Run(t.Context(), addr, tt.load, count, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if r.Count != count*tt.load.Connections || r.P50 <= 0 || r.P99 < r.P50 {
				t.Errorf("%+v, of %d requests", r, count*tt.load.Connections)
			}
			tt.load.Server = "laptop"
			if _, err := Run(t.Context(), addr, tt.load, 1, time.Minute); err == nil || !strings.Contains(err.Error(), "wrong server") {
				t.Errorf("of an answer of another server it says %v", err)
			}
		})
	}
}

func TestRunFails(t *testing.T) {
	addr := serveHere(t, "pod")
	for _, protocol := range []string{HTTP1, HTTP2} {
		load := Load{Protocol: protocol, Connections: 1, Streams: 1, Size: maxAnswer + 1, Field: "x-bench", Value: "nobody", Server: "pod"}
		if _, err := Run(t.Context(), addr, load, 1, time.Minute); err == nil {
			t.Errorf("%s: an error of the server is no error", protocol)
		}
	}
}

func TestHold(t *testing.T) {
	addr := serveHere(t, "pod")
	for _, protocol := range []string{HTTP1, HTTP2} {
		ctx, cancel := context.WithCancel(t.Context())
		held := false
		load := Load{Protocol: protocol, Streams: 1, Size: 1 << 10, Field: "x-bench", Value: "nobody", Server: "pod"}
		err := Hold(ctx, addr, load, 5, func() { held = true; cancel() })
		if err != nil || !held {
			t.Errorf("%s: held %v, %v", protocol, held, err)
		}
	}
}
