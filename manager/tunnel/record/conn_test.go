package record

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// A Conn must deliver exactly the bytes it was sent, whatever sizes the
// reader asks for.
func FuzzConn(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x03abc\x17\x03\x03\x00\x00\x17\x03\x03\x00\x01z"), 4)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 || size > 1<<16 {
			return
		}
		c := NewConn(readConn{Reader: bytes.NewReader(b)})
		got, err := io.ReadAll(sizedReader{c, size})
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("read %d of %d bytes: %v", len(got), len(b), err)
		}
	})
}

// readConn is a connection that can only be read.
type readConn struct {
	net.Conn
	io.Reader
}

func (r readConn) Read(p []byte) (int, error) { return r.Reader.Read(p) }

// sizedReader reads at most size bytes at a time.
type sizedReader struct {
	io.Reader
	size int
}

func (r sizedReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), r.size)]) }
