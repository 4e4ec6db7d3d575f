package http2

import (
	"bytes"
	"io"
	"net"
	"testing"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// framesOf returns the bytes of the frames that do writes.
func framesOf(do func(*framing.Framer, func(fields ...string) []byte)) []byte {
	var b, block bytes.Buffer
	f := framing.NewFramer(&b, nil)
	f.AllowIllegalWrites = true
	e := hpack.NewEncoder(&block)
	do(f, func(fields ...string) []byte {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return bytes.Clone(block.Bytes())
	})
	return b.Bytes()
}

// A caller may send what it likes: Serve ends when the caller does.
func FuzzCaller(f *testing.F) {
	app := &farEnd{address: serve(f, named("app"))}
	laptop := &farEnd{address: serve(f, named("laptop")), gone: make(chan struct{})}
	f.Add([]byte{})
	f.Add(framesOf(func(f *framing.Framer, block func(...string) []byte) {
		f.WriteSettings(framing.Setting{ID: framing.SettingInitialWindowSize, Val: 3})
		get := []string{":method", "POST", ":scheme", "http", ":path", "/", "to", "laptop"}
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(get...)})
		f.WriteData(1, false, []byte("body"))
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 3, EndHeaders: true, EndStream: true, BlockFragment: block(get[:6]...)})
		f.WriteWindowUpdate(1, 100)
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: block("a", "b")})
		f.WriteContinuation(1, true, nil)
		f.WriteRSTStream(3, framing.ErrCodeCancel)
		f.WritePing(false, [8]byte{})
		f.WriteGoAway(0, 0, nil)
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLab(t, app)
		l.set("laptop", http.Decision{To: laptop, Copies: []http.Copier{app}})
		c := l.connect()
		go func() {
			io.WriteString(c, framing.ClientPreface)
			c.Write(b)
			c.CloseWrite()
		}()
		io.Copy(io.Discard, c)
		<-l.done
	})
}

// So may a target: its caller gets some end of each request, and Serve ends when the
// caller does.
func FuzzTarget(f *testing.F) {
	f.Add([]byte{})
	f.Add(framesOf(func(f *framing.Framer, block func(...string) []byte) {
		f.WriteSettings(framing.Setting{ID: framing.SettingMaxConcurrentStreams, Val: 1})
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(":status", "100")})
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(":status", "200", "a", "b")})
		f.WriteData(1, false, []byte("body"))
		f.WriteWindowUpdate(1, 100)
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block("grpc-status", "0")})
		f.WriteRSTStream(3, framing.ErrCodeRefusedStream)
		f.WriteGoAway(3, 0, nil)
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					c.Write(b)
					c.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, c)
					c.Close()
				}()
			}
		}()
		defer listener.Close()
		l := newLab(t, &farEnd{address: listener.Addr().String()})
		c := l.caller()
		open := map[uint32]bool{1: true, 3: true, 5: true, 7: true}
		for id := uint32(1); id <= 7; id += 2 {
			c.get(id, id > 3)
		}
		for len(open) > 0 {
			f, err := c.ReadFrame()
			if err != nil {
				if _, bad := err.(framing.StreamError); bad { // a malformed answer, passed on
					open = nil
					break
				}
				t.Fatalf("%v with %v open", err, open)
			}
			id := f.Header().StreamID
			switch f := f.(type) {
			case *framing.RSTStreamFrame:
				delete(open, id)
			case *framing.DataFrame:
				if f.StreamEnded() {
					delete(open, id)
				}
			case *framing.MetaHeadersFrame:
				if f.StreamEnded() {
					delete(open, id)
				}
			}
		}
		c.conn.Close()
		<-l.done
	})
}

func FuzzInspect(f *testing.F) {
	f.Add("a", "b", "cookie", "x=y", ":path", "/a?b")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3 string) {
		fields := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: n1, Value: v1}, {Name: n2, Value: v2}, {Name: n3, Value: v3}}
		inspect(fields)
		var q question
		for range 2 {
			if r := q.ask(fields); len(r.Fields) > 4 {
				t.Errorf("%d fields", len(r.Fields))
			}
		}
	})
}
