package http

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct {
		text     string
		progress Progress
		target   string
		headers  []string
		complete bool
	}{
		{"", Partial, "", nil, false},
		{"GET / HTTP/1.1\r", Partial, "", nil, false},
		{"GET / HTTP/2.0\r\n", NoRequest, "", nil, false},
		{"GET nonsense\r\n\r\n", NoRequest, "", nil, false},
		{"GET /a b HTTP/1.1\r\n", Request, "/a b", nil, false},
		{"PUT /x HTTP/1.0\r\nhost: a\r\nUser-Ag", Request, "/x", []string{"host: a"}, false},
		{"GET / HTTP/1.1\r\nHost:a\r\nx-id: 1 \r\n\r\nX-Id: 2\r\n", Request, "/", []string{"Host: a", "x-id: 1"}, true},
	} {
		var h Head
		progress := h.ParseRequest([]byte(tt.text))
		if progress != tt.progress {
			t.Errorf("%q: %v, want %v", tt.text, progress, tt.progress)
		}
		var headers []string
		for _, f := range h.Fields {
			headers = append(headers, fmt.Sprintf("%s: %s", f.Name, f.Value))
		}
		if string(h.Target) != tt.target || !slices.Equal(headers, tt.headers) || h.Complete != tt.complete {
			t.Errorf("%q: %+v", tt.text, h)
		}
	}
}

func FuzzFirstRequest(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x01\x01\x04\x00\x00\x00\x01\x82"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, progress := FirstRequest(append([]byte(http2.ClientPreface), b...)); (h != nil) != (progress == Request) {
			t.Errorf("%+v, %v", h, progress)
		}
	})
}

// Only the one acknowledgment is taken out, however the bytes are cut.
func TestAckFilter(t *testing.T) {
	ack := emptyFrame(http2.FrameSettings, http2.FlagSettingsAck)
	data := append([]byte{0, 0, 9, byte(http2.FrameData), 0, 0, 0, 0, 1}, ack...) // looks like one within
	before := slices.Concat([]byte(http2.ClientPreface), Settings(), data)
	after := slices.Concat(data, ack)
	all, want := slices.Concat(before, ack, after), string(slices.Concat(before, after))
	for size := 1; size <= len(all); size++ {
		f := NewAckFilter()
		var got []byte
		for piece := range slices.Chunk(all, size) {
			got = f.Feed(got, piece)
		}
		if string(got) != want || !f.Done() {
			t.Fatalf("in pieces of %d: %q", size, got)
		}
	}
}
