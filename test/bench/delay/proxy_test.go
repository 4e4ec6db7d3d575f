package delay

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// pair returns both ends of a connection through a proxy.
func pair(t *testing.T, oneWay time.Duration) (client, server *net.TCPConn) {
	t.Helper()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	entry, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Proxy{Target: target.Addr().String(), OneWay: oneWay}.Serve(t.Context(), entry) }()
	t.Cleanup(func() { // the test's context has ended by now
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	c, err := net.Dial("tcp", entry.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := target.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestOrderAndEnd(t *testing.T) {
	client, server := pair(t, time.Millisecond)
	data := make([]byte, 3<<20+7)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	want := sha256.Sum256(data)
	var wg sync.WaitGroup
	send := func(from, to *net.TCPConn) {
		wg.Go(func() {
			_, _ = io.Copy(from, bytes.NewReader(data))
			_ = from.CloseWrite()
		})
		wg.Go(func() {
			got, err := io.ReadAll(to)
			if err != nil || sha256.Sum256(got) != want {
				t.Errorf("%d bytes of %d, or others: %v", len(got), len(data), err)
			}
		})
	}
	send(client, server)
	send(server, client)
	wg.Wait()
}

func TestDelay(t *testing.T) {
	const oneWay = 30 * time.Millisecond
	client, server := pair(t, oneWay)
	start := time.Now()
	go func() { _, _ = server.Write([]byte("x")) }()
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < oneWay { // a proxy may be late, never early
		t.Errorf("arrived after %s, want at least %s", d, oneWay)
	}
}

// A reader that has gone must end the connection, even when the queue is full.
func TestClosedReader(t *testing.T) {
	client, server := pair(t, time.Millisecond)
	_ = server.SetLinger(0)
	server.Close()
	b := make([]byte, chunkSize)
	for range 1 << 12 {
		if _, err := client.Write(b); err != nil {
			return
		}
	}
	t.Error("still open after 256 MiB to nobody")
}
