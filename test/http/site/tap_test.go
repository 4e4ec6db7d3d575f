package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The Tap tells exactly what a connection has sent, also what no HTTP server understands.
func TestTap(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := NewTap(l)
	server := &http.Server{Handler: Site()}
	go server.Serve(tap)
	t.Cleanup(func() { server.Close() })
	for _, sent := range []string{"GET /small HTTP/1.1\r\nhOST: a\r\nX:  y\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, sent)
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		c.Close()
		told := httptest.NewRecorder()
		tap.ServeHTTP(told, httptest.NewRequest("GET", "/", nil))
		var received [][]byte
		if err := json.Unmarshal(told.Body.Bytes(), &received); err != nil || len(received) != 1 || string(received[0]) != sent {
			t.Errorf("of %q it tells %q, %v", sent, received, err)
		}
	}
}
