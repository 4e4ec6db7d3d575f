package local

import (
	"io"
	"net"
	"strings"
	"testing"
)

// FuzzBegin: a program that answers the probe and ends is one of HTTP/2 if it begins with
// the head of a SETTINGS frame, and otherwise one of HTTP/1.1.
func FuzzBegin(f *testing.F) {
	for _, says := range []string{"", "no", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x00\x04\x01\x00\x00\x00\x00", "\x15\x03\x03\x00\x02\x02\x28"} {
		f.Add(says)
	}
	f.Fuzz(func(t *testing.T, says string) {
		near, far := net.Pipe()
		defer near.Close()
		go func() {
			defer far.Close()
			go io.Copy(io.Discard, far)
			io.WriteString(far, says)
		}()
		want := inHTTP1
		if len(says) >= 9 && strings.HasPrefix(says[3:], "\x04\x00\x00\x00\x00\x00") {
			want = inHTTP2
		}
		if got := begin(near); got != want {
			t.Errorf("%q: %d", says, got)
		}
	})
}
