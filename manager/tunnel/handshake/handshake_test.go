package handshake

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

func TestHandshakeRoundTrip(t *testing.T) {
	h := &Hello{Session: "alice-laptop", Generation: 7, Direction: Outbound, Version: "0.1.0", Secret: Secret{1, 2, 3}, Protocol: frame.Version}
	w := &Welcome{Refusal: "no", Pod: "traffic-manager-1", Version: "0.1.0", Domain: "cluster.local", Renew: true, Took: 7 * time.Millisecond, Protocol: frame.Version}
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

func TestLineFrames(t *testing.T) {
	k, other := &Secret{1}, &Secret{2}
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
		t.Error("a Hello must be good for its secret alone")
	}
	for i := range h.sealed {
		changed := bytes.Clone(h.sealed)
		changed[i]++
		if got, err := parseLineHello(changed); err == nil && got.Check(k) {
			t.Errorf("a Hello with another byte %d is good", i)
		}
	}
	j := &LineAssigned{Agent: Pin{1}, Pod: "shop/quote-1", Intercept: "shop/quote", InterceptUID: "i", FromSession: true}
	frames := func(k *Secret, h *LineHello) io.Reader {
		var b bytes.Buffer
		if err := WriteLineKeepalive(&b); err != nil {
			t.Fatal(err)
		}
		if err := WriteLineAssigned(&b, k, h, j); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	alive := 0
	if got, err := ReadLineAssigned(frames(k, h), k, h, func() { alive++ }); err != nil || !reflect.DeepEqual(got, j) || alive != 1 {
		t.Errorf("got %+v, %d keepalives, %v", got, alive, err)
	}
	for name, r := range map[string]io.Reader{"with another secret": frames(other, h), "of another Hello": frames(k, NewLineHello(k, "alice", 7, Inbound))} {
		if _, err := ReadLineAssigned(r, k, h, func() {}); err == nil {
			t.Errorf("a frame %s is good", name)
		}
	}
	q := &LineRequest{Session: "alice", Intercept: "shop/quote", InterceptUID: "i", FromSession: true}
	if err := WriteLineRequest(&b, q); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadLineRequest(&b); err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := WriteLineAnswer(&b, frame.Accepted, Pin{3}); err != nil {
		t.Fatal(err)
	}
	if v, pin, err := ReadLineAnswer(&b); err != nil || v != frame.Accepted || pin != (Pin{3}) {
		t.Errorf("got %v, %v, %v", v, pin, err)
	}
}

func FuzzLine(f *testing.F) {
	k := &Secret{1}
	h := NewLineHello(k, "alice", 7, Inbound)
	var b bytes.Buffer
	WriteLineHello(&b, h)
	WriteLineRequest(&b, &LineRequest{Session: "alice"})
	WriteLineAnswer(&b, frame.NoLine, Pin{})
	for r := bytes.NewReader(b.Bytes()); r.Len() > 0; {
		frame, _ := readFrame(r)
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseLineHello(b); err == nil && h.Check(k) && !bytes.Contains(b, []byte("alice")) {
			t.Fatal("a Hello nobody made is good")
		}
		if _, err := parseLineAssigned(b, k, h); err == nil {
			t.Fatal("a frame nobody made is good")
		}
		if q, err := parseLineRequest(b); err == nil && len(q.Session)+len(q.Intercept)+len(q.InterceptUID) > len(b) {
			t.Fatal("a request is larger than its frame")
		}
		if v, _, err := parseLineAnswer(b); err == nil && v == 0 {
			t.Fatal("an answer without a verdict is good")
		}
	})
}
