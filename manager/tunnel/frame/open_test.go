package frame

import (
	"bytes"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func someOpen() *Open {
	return &Open{Kind: Dialed, Target: "dns", Intercept: "shop/quote", InterceptUID: "7d1c", Session: "alice-laptop", TLS: true, ServerName: "quote.shop", Protocol: UDP, Port: 8080,
		Source: netip.MustParseAddrPort("[2001:db8::7%eth0]:4711"), Flow: 42, First: []byte("GET / HTTP/1.1\r\n")}
}

func TestOpenRoundTrip(t *testing.T) {
	for _, o := range []*Open{someOpen(), {First: []byte{}}} {
		var b bytes.Buffer
		if err := WriteOpen(&b, o); err != nil {
			t.Fatal(err)
		}
		got, err := ReadOpen(&b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, o) {
			t.Errorf("got %+v, want %+v", got, o)
		}
	}
}

func TestOpenLimits(t *testing.T) {
	if err := WriteOpen(io.Discard, &Open{First: make([]byte, MaxFirst+1)}); err == nil {
		t.Error("a first payload beyond the limit is sent")
	}
	if err := WriteOpen(io.Discard, &Open{Session: strings.Repeat("s", 1025)}); err == nil {
		t.Error("a name beyond the limit is sent")
	}
	if _, err := ReadOpen(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff})); err == nil {
		t.Error("a frame of 4 GiB is read")
	}
}

// What parses is what was written: parsing and writing again gives the bytes.
func FuzzOpen(f *testing.F) {
	b, _ := AppendOpen(nil, someOpen())
	f.Add(b)
	f.Add([]byte{Version, openPort, 0, 1, 80, 0xf0, 0, 2, 1, 2, openFirst})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOpen(b)
		if err != nil {
			return
		}
		again, err := AppendOpen(nil, o)
		if err != nil {
			t.Fatalf("parsed frame cannot be written: %v", err)
		}
		back, err := ParseOpen(again)
		if err != nil || !reflect.DeepEqual(back, o) {
			t.Fatalf("%+v became %+v: %v", o, back, err)
		}
	})
}
