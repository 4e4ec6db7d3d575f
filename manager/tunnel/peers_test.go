package tunnel_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// peer speaks the protocol as a release of another age does. It shares no code with
// this one: it holds what version 1 looks like.
type peer struct {
	version byte
	more    bool // it sends fields that version 1 does not know
}

// fields are those of a frame, by tag.
type fields map[byte]string

// body is a frame's.
func (p peer) body(f fields) []byte {
	if p.more {
		f[77], f[200] = "what is this?", ""
	}
	b := []byte{p.version}
	tags := make([]byte, 0, len(f))
	for tag := range f {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	for _, tag := range tags {
		b = binary.BigEndian.AppendUint16(append(b, tag), uint16(len(f[tag])))
		b = append(b, f[tag]...)
	}
	return b
}

// seal appends the MAC that a line's frames carry in the clear.
func (p peer) seal(t *testing.T, purpose, answers string, b []byte) []byte {
	b = append(b, 255, 0, 32)
	return append(b, p.mac(t, purpose, answers, b[:len(b)-3])...)
}

func (p peer) mac(t *testing.T, purpose, answers string, b []byte) []byte {
	m := hmac.New(sha256.New, secret[:])
	for _, part := range []string{purpose, answers, string(b)} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		io.WriteString(m, part)
	}
	return m.Sum(nil)
}

// framed puts the length before a body.
func framed(b []byte) *bytes.Buffer {
	return bytes.NewBuffer(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

// parse takes a frame of today apart as version 1 does.
func parse(t *testing.T, b []byte) fields {
	t.Helper()
	if n := int(binary.BigEndian.Uint16(b)); n != len(b)-2 || b[2] < 1 {
		t.Fatalf("frame % x", b)
	}
	f := fields{}
	for b = b[3:]; len(b) > 0; {
		n := int(binary.BigEndian.Uint16(b[1:]))
		f[b[0]] = string(b[3 : 3+n])
		b = b[3+n:]
	}
	return f
}

var secret = handshake.Secret{1, 2, 3}

const (
	nonce = "0123456789abcdef"
	pin   = "the pin of an agent, 32 bytes it"
)

// TestPeersOfOtherAges plays a session, a relay and an agent of another age against
// those of today, each as the one who speaks and as the one who listens.
func TestPeersOfOtherAges(t *testing.T) {
	for name, p := range map[string]peer{"older": {version: frame.Oldest}, "newer": {version: 99, more: true}} {
		t.Run(name, func(t *testing.T) {
			t.Run("carrier", p.carrier)
			t.Run("line", p.line)
			t.Run("request", p.request)
			t.Run("opens flows", p.opens)
			t.Run("accepts flows", p.accepts)
		})
	}
}

// check compares what was read.
func check(t *testing.T, got, want any, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// has says that version 1 finds in a frame what it knows.
func has(t *testing.T, b *bytes.Buffer, err error, want fields) fields {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, b.Bytes())
	for tag, value := range want {
		if got[tag] != value {
			t.Errorf("field %d is %q, want %q", tag, got[tag], value)
		}
	}
	return got
}

func (p peer) carrier(t *testing.T) {
	hello := func() fields { return fields{1: "alice", 2: string(secret[:]), 3: "\x07", 4: "\x01", 5: "0.1.0"} }
	welcome := func() fields { return fields{1: "no", 2: "traffic-manager-1", 3: "0.1.0", 4: "cluster.local"} }
	h := &handshake.Hello{Session: "alice", Secret: secret, Generation: 7, Direction: handshake.Outbound, Version: "0.1.0", Protocol: p.version}
	w := &handshake.Welcome{Refusal: "no", Pod: "traffic-manager-1", Version: "0.1.0", Domain: "cluster.local", Protocol: p.version}
	gotH, err := handshake.ReadHello(framed(p.body(hello())))
	check(t, gotH, h, err)
	gotW, err := handshake.ReadWelcome(framed(p.body(welcome())))
	check(t, gotW, w, err)
	var b bytes.Buffer
	has(t, &b, handshake.WriteHello(&b, h), hello())
	b.Reset()
	has(t, &b, handshake.WriteWelcome(&b, w), welcome())
}

func (p peer) line(t *testing.T) {
	// The peer offers a line.
	hello, err := handshake.ReadLineHello(framed(p.seal(t, "hello", "", p.body(fields{1: "alice", 2: "\x07", 3: "\x01", 4: nonce}))))
	if err != nil || !hello.Check(&secret) || hello.Session != "alice" || hello.Generation != 7 || hello.Direction != handshake.Outbound {
		t.Fatalf("got %+v, %v", hello, err)
	}
	assigned := func() fields { return fields{1: pin, 2: "shop/quote-1", 3: "shop/quote", 4: "uid"} }
	j := &handshake.LineAssigned{Agent: handshake.Pin([]byte(pin)), Pod: "shop/quote-1", Intercept: "shop/quote", InterceptUID: "uid"}
	var b bytes.Buffer
	has(t, &b, handshake.WriteLineAssigned(&b, &secret, hello, j), assigned())
	p.sealed(t, "assigned", nonce, b.Bytes()[2:])
	// The peer is offered one.
	b.Reset()
	mine := handshake.NewLineHello(&secret, "alice", 7, handshake.Outbound)
	got := has(t, &b, handshake.WriteLineHello(&b, mine), fields{1: "alice", 2: "\x07", 3: "\x01"})
	p.sealed(t, "hello", "", b.Bytes()[2:])
	gotJ, err := handshake.ReadLineAssigned(framed(p.seal(t, "assigned", got[4], p.body(assigned()))), &secret, mine, func() {})
	check(t, gotJ, j, err)
}

// sealed checks the MAC of a frame of today.
func (p peer) sealed(t *testing.T, purpose, answers string, b []byte) {
	t.Helper()
	body, tail := b[:len(b)-35], b[len(b)-35:]
	if !bytes.Equal(tail, append([]byte{255, 0, 32}, p.mac(t, purpose, answers, body)...)) {
		t.Errorf("%s has another seal than version 1 knows", purpose)
	}
}

func (p peer) request(t *testing.T) {
	request := func() fields { return fields{1: "alice", 2: "shop/quote", 3: "uid"} }
	q := &handshake.LineRequest{Session: "alice", Intercept: "shop/quote", InterceptUID: "uid"}
	gotQ, err := handshake.ReadLineRequest(framed(p.body(request())))
	check(t, gotQ, q, err)
	var b bytes.Buffer
	has(t, &b, handshake.WriteLineRequest(&b, q), request())
	v, session, err := handshake.ReadLineAnswer(framed(p.body(fields{1: "\x01", 2: pin})))
	check(t, session, handshake.Pin([]byte(pin)), err)
	check(t, v, frame.Accepted, err)
	b.Reset()
	has(t, &b, handshake.WriteLineAnswer(&b, frame.NoLine, session), fields{1: "\x05", 2: pin})
}

// flowPair is a connection that serves flows.
func flowPair(t *testing.T) (a, b *line.Conn) {
	c, s := tunneltest.TLS(t, handshake.ALPNFlow, func(c net.Conn) net.Conn { return record.NewConn(c) })
	a, erra := line.NewConn(c)
	b, errb := line.NewConn(s)
	if err := errors.Join(erra, errb); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func captured() fields {
	return fields{3: "\x1f\x90", 5: "\x0a\xf4\x00\x07\xf0\xa2", 6: "shop/quote", 7: "uid", 8: "alice"}
}

// opens lets the peer open flows: one of a kind that today does not know, if it
// would, and one that it knows.
func (p peer) opens(t *testing.T) {
	near, far := flowPair(t)
	seen := make(chan *frame.Open, 1)
	go line.Serve(t.Context(), far, func(*frame.Open) bool { return true }, func(_ context.Context, o *frame.Open, in tunnel.Incoming) error {
		if !o.Supported(frame.Captured) {
			return frame.ErrUnsupported
		}
		seen <- o
		if err := in.Accept(); err != nil {
			return err
		}
		return in.Join(tunneltest.Ended{}, nil)
	})
	ask := func(c *line.Conn, f fields) byte {
		t.Helper()
		b := append(p.body(f), "\x00GET"...)
		c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
		var head [4]byte
		if _, err := io.ReadFull(c, head[:]); err != nil || head[2] < 1 {
			t.Fatal(head, err)
		}
		io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(head[:]))-2)
		return head[3]
	}
	if p.more {
		for _, tag := range []byte{1, 2} { // kind, protocol
			f := captured()
			f[tag] = "\x2a"
			near.OnIdle(func(next tunnel.Stream) { near = next.(*line.Conn) })
			now := near
			if v := ask(now, f); v != byte(frame.Unsupported) {
				t.Fatalf("field %d of a newer peer: verdict %d", tag, v)
			}
			now.Refused()
			now.Close()
		}
	}
	if v := ask(near, captured()); v != byte(frame.Accepted) {
		t.Fatalf("verdict %d", v)
	}
	o := <-seen
	if string(o.First) != "GET" || o.Port != 8080 || o.Source.String() != "10.244.0.7:41712" || o.Intercept != "shop/quote" ||
		o.InterceptUID != "uid" || o.Session != "alice" || o.Protocol != frame.TCP {
		t.Errorf("got %+v", o)
	}
}

// accepts lets the peer answer flows: with a verdict that today does not know, if
// it would, with a reason, and well.
func (p peer) accepts(t *testing.T) {
	near, far := flowPair(t)
	answers := []struct {
		verdict byte
		f       fields
		want    error
	}{{4, fields{1: "no permission"}, &frame.DeniedError{Reason: "no permission"}}, {1, fields{}, nil}}
	if p.more {
		answers = slices.Insert(answers, 0, answers[0])
		answers[0].verdict, answers[0].want = 42, errors.New("traffic-manager: verdict 42")
	}
	expected, opens := slices.Clone(answers), make(chan []byte, len(answers))
	go line.ServeEach(far, func(s tunnel.Stream) {
		defer s.Close()
		var head [4]byte
		if _, err := io.ReadFull(s, head[:]); err != nil || len(answers) == 0 {
			return
		}
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		io.ReadFull(s, b)
		opens <- b
		a := answers[0]
		answers = answers[1:]
		body := p.body(a.f)
		s.Write(framed(slices.Insert(body, 1, a.verdict)).Bytes())
		s.(*line.Conn).Refused()
	})
	open, err := frame.ParseOpen(append(peer{version: 1}.body(captured()), "\x00GET"...))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range expected {
		now := near
		now.OnIdle(func(next tunnel.Stream) { near = next.(*line.Conn) })
		v, reason, err := line.Ask(t.Context(), now, open)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Err(reason); (got == nil) != (a.want == nil) || got != nil && got.Error() != a.want.Error() {
			t.Errorf("verdict %d: %v, want %v", a.verdict, got, a.want)
		}
		now.Refused()
		now.Close()
		b, first, _ := bytes.Cut(<-opens, []byte("\x00GET"))
		if len(first) > 0 {
			t.Errorf("% x behind the first bytes", first)
		}
		buf := framed(b)
		has(t, buf, nil, captured())
	}
}

// A peer from before the oldest version is refused, and says what to do.
func TestPeersThatAreTooOld(t *testing.T) {
	p := peer{version: frame.Oldest - 1}
	b := p.body(fields{})
	_, hello := handshake.ReadHello(framed(b))
	_, request := handshake.ReadLineRequest(framed(b))
	_, open := frame.ParseOpen(append(b, 0))
	_, _, answer := frame.ReadAnswer(framed([]byte{p.version, 1}))
	for _, err := range []error{hello, request, open, answer} {
		if err == nil || !strings.Contains(err.Error(), "kubectl intercept upgrade") {
			t.Errorf("got %v", err)
		}
	}
}
