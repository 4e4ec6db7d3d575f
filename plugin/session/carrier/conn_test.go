package carrier

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// pair returns the two ends of a TCP connection on the loopback.
func pair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := dialServer(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestSilenceClosesACarrier(t *testing.T) {
	near, far := pair(t)
	s := &silentConn{Conn: near}
	go s.closeWhenSilent(context.Background(), 50*time.Millisecond)
	if _, err := s.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Fatalf("read ends with %v", err)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the peer reads %v", err)
	}
}
