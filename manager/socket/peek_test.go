package socket

import (
	"errors"
	"io"
	"net"
	"testing"
)

// TestPeeker: what was looked at is still there, and waiting ends with bytes, the
// end or a reset.
func TestPeeker(t *testing.T) {
	near, far := pair(t)
	p, err := NewPeeker(near)
	if err != nil {
		t.Fatal(err)
	}
	go far.Write([]byte("hello"))
	if b, err := p.First(); b != 'h' || err != nil {
		t.Fatalf("first %q, %v", b, err)
	}
	n, err := p.Arrived()
	if n < 1 || n > 5 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(near, buf); err != nil || string(buf) != "hello" {
		t.Fatalf("read %q, %v", buf, err)
	}
	if quiet, err := Quiet(near); !quiet || err != nil {
		t.Errorf("nothing has arrived: %v, %v", quiet, err)
	}
	far.CloseWrite()
	if _, err := p.First(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := p.Arrived(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if quiet, err := Quiet(near); quiet || err != nil {
		t.Errorf("the end has arrived: %v, %v", quiet, err)
	}

	near, far = pair(t)
	if p, err = NewPeeker(near); err != nil {
		t.Fatal(err)
	}
	far.SetLinger(0)
	far.Close()
	if _, err := p.Arrived(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("after a reset: %v", err)
	}
}

func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}
