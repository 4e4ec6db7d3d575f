package http

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestSniff(t *testing.T) {
	for _, tt := range []struct {
		first string
		want  Protocol
	}{
		{"", Unknown},
		{"G", Unknown},
		{"GET", Unknown},
		{"GET / HTTP/1.1", Unknown},
		{"GET / HTTP/1.1\r", Unknown},
		{"GET / HTTP/1.1\r\n", HTTP1},
		{"GET / HTTP/1.1\n", HTTP1},
		{"M-SEARCH * HTTP/1.0\r\nx", HTTP1},
		{"GET / HTTP/7.7\r\n", HTTP1},
		{"GET " + strings.Repeat("/", 9000), HTTP1},
		{"GET /\r\n", Other},
		{"GET key\r\n", Other},
		{"PING\r\n", Other},
		{"SSH-2.0-OpenSSH_9.2 Debian-2\r\n", Other},
		{"EHLO a\r\n", Other},
		{strings.Repeat("x", 65), Other},
		{"*1\r\n$4\r\nPING\r\n", Other},
		{"\x16\x03\x01", Other},
		{"\x00\x00\x00\x08", Other},
		{"\r\n", Other},
		{" GET / HTTP/1.1\r\n", Other},
		{"GET /\x00 HTTP/1.1", Other},
		{"PRI", Unknown},
		{"PRI * HTTP/2.0\r\n\r\nSM", Unknown},
		{http2.ClientPreface, HTTP2},
		{"PRIOR / HTTP/1.1\r\n", HTTP1},
	} {
		if got := Sniff([]byte(tt.first)); got != tt.want {
			t.Errorf("%.40q is %v, want %v", tt.first, got, tt.want)
		}
	}
}

// FuzzSniff: what the first bytes have told, more bytes do not change.
func FuzzSniff(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 9)
	f.Add([]byte(http2.ClientPreface), 20)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		if early, all := Sniff(b[:cut]), Sniff(b); early != Unknown && early != all {
			t.Errorf("%q is %v, and with more %v", b[:cut], early, all)
		}
	})
}
