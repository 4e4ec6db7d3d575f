package http2

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// What the caller does against the rules ends its connection or its stream, as RFC 9113
// says.
func TestFaultsOfCaller(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*peer)
		want []string
	}{
		{"an even stream", func(c *peer) { c.get(2, true) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"a stream again", func(c *peer) { c.get(5, true); c.get(3, false) }, []string{"GOAWAY 5 STREAM_CLOSED", "end"}},
		{"DATA of an idle stream", func(c *peer) { c.WriteData(1, true, nil) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"RST of an idle stream", func(c *peer) { c.WriteRSTStream(1, 0) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"WINDOW_UPDATE of an idle stream", func(c *peer) { c.WriteWindowUpdate(1, 1) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"WINDOW_UPDATE of zero", func(c *peer) { c.WriteWindowUpdate(0, 0) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"the connection's window too large", func(c *peer) { c.WriteWindowUpdate(0, maxWindow) }, []string{"GOAWAY 0 FLOW_CONTROL_ERROR", "end"}},
		{"a stream's window too large", func(c *peer) { c.get(1, false); c.WriteWindowUpdate(1, maxWindow) }, []string{"RST 1 FLOW_CONTROL_ERROR"}},
		{"zero for a stream", func(c *peer) { c.get(1, false); c.WriteWindowUpdate(1, 0) }, []string{"RST 1 PROTOCOL_ERROR"}},
		{"CONTINUATION of nothing", func(c *peer) { c.WriteContinuation(1, true, nil) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"an interrupted block", func(c *peer) {
			c.WriteHeaders(framing.HeadersFrameParam{StreamID: 1})
			c.WritePing(false, [8]byte{})
		}, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"a block that is no HPACK", func(c *peer) {
			c.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}})
		}, []string{"GOAWAY 0 COMPRESSION_ERROR", "end"}},
		{"PUSH_PROMISE", func(c *peer) { c.WriteRawFrame(framing.FramePushPromise, 4, 1, make([]byte, 4)) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"a large frame", func(c *peer) { c.WriteRawFrame(framing.FrameData, 0, 1, make([]byte, maxFrame+1)) }, []string{"GOAWAY 0 FRAME_SIZE_ERROR", "end"}},
		{"PING of a stream", func(c *peer) { c.WriteRawFrame(framing.FramePing, 0, 1, make([]byte, 8)) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"a short PING", func(c *peer) { c.WriteRawFrame(framing.FramePing, 0, 0, make([]byte, 7)) }, []string{"GOAWAY 0 FRAME_SIZE_ERROR", "end"}},
		{"odd SETTINGS", func(c *peer) { c.WriteRawFrame(framing.FrameSettings, 0, 0, make([]byte, 7)) }, []string{"GOAWAY 0 FRAME_SIZE_ERROR", "end"}},
		{"a wrong setting", func(c *peer) { c.WriteSettings(framing.Setting{ID: framing.SettingMaxFrameSize, Val: 1}) }, []string{"GOAWAY 0 PROTOCOL_ERROR", "end"}},
		{"a setting of a window", func(c *peer) { c.WriteSettings(framing.Setting{ID: framing.SettingInitialWindowSize, Val: 1 << 31}) },
			[]string{"GOAWAY 0 FLOW_CONTROL_ERROR", "end"}},
		{"DATA after the end", func(c *peer) { c.get(1, true, "wait", "1"); c.WriteData(1, true, nil) }, []string{"RST 1 STREAM_CLOSED"}},
		{"headers within a body", func(c *peer) { c.get(1, false); c.headers(1, false, "a", "b") }, []string{"RST 1 PROTOCOL_ERROR"}},
		{"padding longer than DATA", func(c *peer) {
			c.get(1, false)
			c.WriteRawFrame(framing.FrameData, framing.FlagDataPadded, 1, []byte{9, 0})
		},
			[]string{"GOAWAY 1 PROTOCOL_ERROR", "end"}},
		{"too much DATA", func(c *peer) {
			c.get(1, false)
			for range 5 {
				c.WriteData(1, false, make([]byte, maxFrame))
			}
		}, []string{"RST 1 FLOW_CONTROL_ERROR"}},
		{"frames that nobody knows", func(c *peer) {
			c.WriteRawFrame(0x77, 3, 1, []byte("x"))
			c.WritePriority(7, framing.PriorityParam{Weight: 3})
			c.get(1, true)
		}, []string{"HEADERS 1 :status=200 END"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			far, accept := scripted(t, framing.Setting{ID: framing.SettingInitialWindowSize, Val: 0})
			c := newLab(t, far).caller()
			go func() { tt.do(c) }()
			if strings.HasPrefix(tt.want[0], "HEADERS") {
				target := accept()
				target.next()
				target.headers(1, true, ":status", "200")
			}
			for _, want := range tt.want {
				c.expect(want)
			}
		})
	}
}

// Floods end the connection.
func TestFloods(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func(*peer, uint32) error
	}{
		{"PING", func(c *peer, _ uint32) error { return c.WritePing(false, [8]byte{}) }},
		{"SETTINGS", func(c *peer, _ uint32) error { return c.WriteSettings() }},
		{"acknowledgments", func(c *peer, _ uint32) error { return c.WriteSettingsAck() }},
		{"PRIORITY", func(c *peer, _ uint32) error { return c.WritePriority(1, framing.PriorityParam{}) }},
		{"unknown", func(c *peer, _ uint32) error { return c.WriteRawFrame(0x99, 0, 0, nil) }},
		{"empty DATA", func(c *peer, k uint32) error {
			if k == 0 {
				c.get(1, false)
			}
			return c.WriteData(1, false, nil)
		}},
		{"CONTINUATION", func(c *peer, k uint32) error {
			if k == 0 {
				c.WriteHeaders(framing.HeadersFrameParam{StreamID: 1})
			}
			return c.WriteContinuation(1, false, nil)
		}},
		{"rapid reset", func(c *peer, k uint32) error {
			c.get(2*k+1, true)
			return c.WriteRSTStream(2*k+1, framing.ErrCodeCancel)
		}},
		{"rude requests", func(c *peer, k uint32) error {
			c.get(2*k+1, true)
			c.WriteWindowUpdate(2*k+1, 0)
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			far := &farEnd{address: serve(t, named("app"))}
			l := newLab(t, far)
			c := l.caller()
			go func() {
				for k := range uint32(100_000) {
					if tt.send(c, k) != nil {
						return
					}
				}
			}()
			for {
				got := c.next()
				if got == "end" {
					t.Error("no GOAWAY")
					break
				}
				if strings.HasSuffix(got, " ENHANCE_YOUR_CALM") && strings.HasPrefix(got, "GOAWAY") {
					break
				}
			}
		})
	}
}

// A request that is malformed is the application's, as it is, and never a laptop's.
func TestMalformed(t *testing.T) {
	good := []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"}
	with := func(more ...string) []string { return append(append([]string(nil), good...), more...) }
	for _, fields := range [][]string{
		with("Upper", "x"),
		with("connection", "close"),
		with("transfer-encoding", "chunked"),
		with("te", "gzip"),
		with("a b", "x"),
		with("", "x"),
		with("a", "x\r\ny: z"),
		with("a", " x"),
		with("content-length", "1", "content-length", "1"),
		with("content-length", "+1"),
		with("host", "b"),
		with(":path", "/other"),
		with("x", "y", ":authority", "a"),
		with(":unknown", "x"),
		with(":protocol", "websocket"),
		good[2:],
		good[:6],
		{":method", "GET", ":scheme", "http", ":path", "nothing"},
		{":method", "GET", ":scheme", "http", ":path", "/a b"},
		{":method", "G T", ":scheme", "http", ":path", "/"},
		{":method", "CONNECT", ":scheme", "http", ":path", "/"},
	} {
		t.Run(strings.Join(fields, " "), func(t *testing.T) {
			app, accept := scripted(t)
			laptop := &farEnd{address: "127.0.0.1:1"}
			l := newLab(t, app)
			l.set("laptop", http.Decision{To: laptop})
			fields := append(fields, "to", "laptop")
			c := l.caller()
			c.headers(1, true, fields...)
			target := accept()
			f, err := newRawReader(target)
			if err != nil {
				t.Fatal(err)
			}
			var want strings.Builder
			for i := 0; i < len(fields); i += 2 {
				fmt.Fprintf(&want, " %s=%s", fields[i], fields[i+1])
			}
			if f != want.String() || laptop.arrived.Load() != 0 {
				t.Errorf("%q, want %q", f, want.String())
			}
		})
	}
}

// newRawReader reads the fields of the next HEADERS, whatever they are.
func newRawReader(p *peer) (string, error) {
	p.ReadMetaHeaders = nil
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return "", err
		}
		if h, ok := f.(*framing.HeadersFrame); ok {
			var b strings.Builder
			d := hpack.NewDecoder(4096, func(f hpack.HeaderField) { fmt.Fprintf(&b, " %s=%s", f.Name, f.Value) })
			_, err := d.Write(h.HeaderBlockFragment())
			return b.String(), err
		}
	}
}

// Requests whose header fields are too large get an answer, and the connection goes on.
func TestLargeFields(t *testing.T) {
	l := newLab(t, &farEnd{address: serve(t, named("app"))})
	c := l.caller()
	c.block.Reset()
	for range 20 {
		c.encoder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 64<<10), Sensitive: true})
	}
	block := c.block.Bytes()
	c.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: block[:maxFrame]})
	for block = block[maxFrame:]; len(block) > maxFrame; block = block[maxFrame:] {
		c.WriteContinuation(1, false, block[:maxFrame])
	}
	c.WriteContinuation(1, true, block)
	if got := c.next(); !strings.HasPrefix(got, "HEADERS 1 :status=431") {
		t.Error(got)
	}
	c.next()
	c.get(3, true)
	if got := c.next(); !strings.HasPrefix(got, "HEADERS 3 :status=200") {
		t.Error(got)
	}
}

// Bytes that are not HTTP/2 after all go to the application as they are.
func TestOpaque(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	l := newLab(t, &farEnd{address: server.Addr().String()})
	caller := l.connect()
	const first = "PRI * HTTP/2.0\r\n\r\nAnd then?"
	io.WriteString(caller, first)
	app, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(caller, " This.")
	caller.CloseWrite()
	if got, err := io.ReadAll(app); string(got) != first+" This." || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	io.WriteString(app, "Well.")
	app.Close()
	if got, err := io.ReadAll(caller); string(got) != "Well." || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-l.done; err != nil || l.opaque.Load() != 1 {
		t.Error(err)
	}
}
