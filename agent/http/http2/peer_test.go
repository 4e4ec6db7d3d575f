package http2

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is one end of an HTTP/2 connection that does what a test says.
type peer struct {
	*framing.Framer
	t       testing.TB
	conn    *net.TCPConn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func newPeer(t testing.TB, conn *net.TCPConn) *peer {
	p := &peer{Framer: framing.NewFramer(conn, conn), t: t, conn: conn}
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.AllowIllegalWrites = true
	p.encoder = hpack.NewEncoder(&p.block)
	return p
}

// caller returns a caller that has sent its preface and SETTINGS.
func (l *lab) caller(settings ...framing.Setting) *peer {
	p := newPeer(l.t, l.connect())
	io.WriteString(p.conn, framing.ClientPreface)
	p.WriteSettings(settings...)
	return p
}

// scripted returns a far end, and a function that returns the next connection to it.
func scripted(t testing.TB, settings ...framing.Setting) (*farEnd, func() *peer) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &farEnd{address: listener.Addr().String()}, func() *peer {
		t.Helper()
		c, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		preface := make([]byte, len(framing.ClientPreface))
		if _, err := io.ReadFull(c, preface); err != nil || string(preface) != framing.ClientPreface {
			t.Fatalf("%q, %v", preface, err)
		}
		p := newPeer(t, c.(*net.TCPConn))
		p.WriteSettings(settings...)
		return p
	}
}

// headers sends HEADERS: "method path name value…", or "status name value…".
func (p *peer) headers(id uint32, over bool, fields ...string) {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	p.WriteHeaders(framing.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: over})
}

// get sends a request of a well-formed head.
func (p *peer) get(id uint32, over bool, fields ...string) {
	p.headers(id, over, append([]string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/"}, fields...)...)
}

// next reads the next frame, as text. It passes over SETTINGS, PING and WINDOW_UPDATE.
func (p *peer) next() string {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return "end"
		}
		switch f := f.(type) {
		case *framing.SettingsFrame, *framing.WindowUpdateFrame, *framing.PingFrame:
			continue
		default:
			return text(f)
		}
	}
}

// expect fails the test if the next frame is another.
func (p *peer) expect(want string) {
	p.t.Helper()
	if got := p.next(); got != want {
		p.t.Fatalf("%q came in place of %q", got, want)
	}
}

// text is a frame as tests write it.
func text(f framing.Frame) string {
	id := f.Header().StreamID
	end := ""
	switch f := f.(type) {
	case *framing.MetaHeadersFrame:
		var b strings.Builder
		for _, field := range f.Fields {
			fmt.Fprintf(&b, " %s=%s", field.Name, field.Value)
		}
		if f.StreamEnded() {
			end = " END"
		}
		return fmt.Sprintf("HEADERS %d%s%s", id, b.String(), end)
	case *framing.DataFrame:
		if f.StreamEnded() {
			end = " END"
		}
		return fmt.Sprintf("DATA %d %s%s", id, f.Data(), end)
	case *framing.RSTStreamFrame:
		return fmt.Sprintf("RST %d %v", id, f.ErrCode)
	case *framing.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
	}
	return fmt.Sprint(f)
}

func field(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }

const post = "HEADERS %d :method=POST :scheme=http :authority=a :path=/"

func posted(id uint32) string { return fmt.Sprintf(post, id) }
