package tunnel

import (
	"bytes"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func someOpen() *Open {
	return &Open{Intercept: "shop/quote", InterceptUID: "7d1c", Session: "alice-laptop", Protocol: UDP, Port: 8080,
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

func TestHandshakeRoundTrip(t *testing.T) {
	h := &Hello{Session: "alice-laptop", Generation: 7, Direction: Outbound, Version: "0.1.0", Token: [TokenSize]byte{1, 2, 3}}
	w := &Welcome{Refusal: "no", Pod: "traffic-manager-1", Version: "0.1.0"}
	var b bytes.Buffer
	if err := WriteHello(&b, h); err != nil {
		t.Fatal(err)
	}
	if err := WriteWelcome(&b, w); err != nil {
		t.Fatal(err)
	}
	gotH, err := ReadHello(&b)
	if err != nil || !reflect.DeepEqual(gotH, h) {
		t.Errorf("got %+v, %v", gotH, err)
	}
	gotW, err := ReadWelcome(&b)
	if err != nil || !reflect.DeepEqual(gotW, w) {
		t.Errorf("got %+v, %v", gotW, err)
	}
}

func TestDatagramRoundTrip(t *testing.T) {
	var b bytes.Buffer
	for _, p := range [][]byte{[]byte("one"), {}, make([]byte, MaxDatagram)} {
		if err := WriteDatagram(&b, p); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, MaxDatagram)
		n, err := ReadDatagram(&b, buf)
		if err != nil || !bytes.Equal(buf[:n], p) {
			t.Fatalf("datagram of %d bytes came back with %d: %v", len(p), n, err)
		}
	}
	if err := WriteDatagram(&b, make([]byte, MaxDatagram+1)); err == nil {
		t.Error("a datagram beyond the limit is sent")
	}
}

// What parses is what was written: parsing and writing again gives the bytes.
func FuzzOpen(f *testing.F) {
	b, _ := AppendOpen(nil, someOpen())
	f.Add(b)
	f.Add([]byte{openVersion, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
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

func FuzzHandshake(f *testing.F) {
	var b bytes.Buffer
	WriteHello(&b, &Hello{Session: "s", Version: "v"})
	f.Add(b.Bytes()[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHello(b); err == nil {
			var w bytes.Buffer
			if err := WriteHello(&w, h); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := parseWelcome(b); err == nil && len(m.Refusal)+len(m.Pod)+len(m.Version) > len(b) {
			t.Fatal("a welcome is larger than its frame")
		}
	})
}

// The control stream must survive anything a peer sends.
func FuzzControl(f *testing.F) {
	f.Add([]byte{controlGrant, 0, 0, 0, 1, 0, 0, 1, 0})
	f.Add([]byte{controlPong, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 9 && b[0] == controlPing {
			return // is answered on the stream, which this control has not
		}
		c := newControl()
		flow := newCredit()
		c.add(1, flow)
		if err := c.handle(b); err == nil && flow.left > InitialWindow+2*MaxWindow {
			t.Fatalf("one grant gave %d bytes", flow.left)
		}
	})
}

func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{0, 3, 'o', 'n', 'e', 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		buf := make([]byte, 1500)
		for {
			n, err := ReadDatagram(r, buf)
			if err != nil {
				return
			}
			if n > len(buf) {
				t.Fatalf("%d bytes in a buffer of %d", n, len(buf))
			}
		}
	})
}

// A RecordConn must deliver exactly the bytes it was sent, whatever sizes the
// reader asks for.
func FuzzRecordConn(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x03abc\x17\x03\x03\x00\x00\x17\x03\x03\x00\x01z"), 4)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size < 1 || size > 1<<16 {
			return
		}
		c := NewRecordConn(readConn{Reader: bytes.NewReader(b)})
		got, err := io.ReadAll(sizedReader{c, size})
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("read %d of %d bytes: %v", len(got), len(b), err)
		}
	})
}

func lineKeys(t testing.TB, first byte) *LineKeys {
	t.Helper()
	k, err := NewLineKeys([TokenSize]byte{first})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestLineFrames(t *testing.T) {
	k, other := lineKeys(t, 1), lineKeys(t, 2)
	var b bytes.Buffer
	h := NewLineHello(k, "alice", 7, Inbound)
	if err := WriteLineHello(&b, h); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLineHello(&b)
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if !got.Check(k) || got.Check(other) {
		t.Error("a Hello must be good for its keys alone")
	}
	got.Generation++
	if got.Check(k) {
		t.Error("a changed Hello is good")
	}
	j := &LineJoined{Agent: Pin{1}, Pod: "shop/quote-1", Intercept: "shop/quote", InterceptUID: "i"}
	frames := func(k *LineKeys, h *LineHello) io.Reader {
		var b bytes.Buffer
		if err := WriteLineKeepalive(&b); err != nil {
			t.Fatal(err)
		}
		if err := WriteLineJoined(&b, k, h, j); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	alive := 0
	if got, err := ReadLineJoined(frames(k, h), k, h, func() { alive++ }); err != nil || !reflect.DeepEqual(got, j) || alive != 1 {
		t.Errorf("got %+v, %d keepalives, %v", got, alive, err)
	}
	for name, r := range map[string]io.Reader{"of other keys": frames(other, h), "of another Hello": frames(k, NewLineHello(k, "alice", 7, Inbound))} {
		if _, err := ReadLineJoined(r, k, h, func() {}); err == nil {
			t.Errorf("a frame %s is good", name)
		}
	}
	q := &LineRequest{Session: "alice", Intercept: "shop/quote", InterceptUID: "i"}
	if err := WriteLineRequest(&b, q); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadLineRequest(&b); err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := WriteLineAnswer(&b, Accepted, Pin{3}); err != nil {
		t.Fatal(err)
	}
	if v, pin, err := ReadLineAnswer(&b); err != nil || v != Accepted || pin != (Pin{3}) {
		t.Errorf("got %v, %v, %v", v, pin, err)
	}
}

func FuzzLine(f *testing.F) {
	k := lineKeys(f, 1)
	h := NewLineHello(k, "alice", 7, Inbound)
	var b bytes.Buffer
	WriteLineHello(&b, h)
	WriteLineRequest(&b, &LineRequest{Session: "alice"})
	WriteLineAnswer(&b, NoLine, Pin{})
	for r := bytes.NewReader(b.Bytes()); r.Len() > 0; {
		frame, _ := readFrame(r)
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseLineHello(b); err == nil && h.Check(k) && !bytes.Contains(b, []byte("alice")) {
			t.Fatal("a Hello nobody made is good")
		}
		if _, err := parseLineJoined(b, k, h); err == nil {
			t.Fatal("a frame nobody made is good")
		}
		if q, err := parseLineRequest(b); err == nil && len(q.Session)+len(q.Intercept)+len(q.InterceptUID) > len(b) {
			t.Fatal("a request is larger than its frame")
		}
		if v, _, err := parseLineAnswer(b); err == nil && (v < Accepted || v > Unreachable) {
			t.Fatalf("verdict %d", v)
		}
	})
}
