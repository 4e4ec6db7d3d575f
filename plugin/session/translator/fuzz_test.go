package translator

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames are the bytes of the frames that do writes.
func frames(do func(f *framing.Framer, block func(fields ...string) []byte)) []byte {
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

// opened is a translator whose connections to the program are near ends of pipes; serve has
// the far ones.
func opened(serve func(net.Conn)) io.ReadWriteCloser {
	dial := func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go serve(far)
		return near, nil
	}
	first, _ := dial(context.Background())
	return New(Program{Address: "127.0.0.1:8080", First: first, Dial: dial, Doubt: func() {}}, slog.New(slog.DiscardHandler))
}

// FuzzCaller: whatever a caller sends, requests arrive whole, and the connections to the
// program end with the caller's.
func FuzzCaller(f *testing.F) {
	f.Add([]byte{})
	f.Add(frames(func(f *framing.Framer, block func(...string) []byte) {
		f.WriteSettings()
		post := []string{":method", "POST", ":scheme", "http", ":authority", "quote", ":path", "/a?b", "trailer", "sum"}
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block(post...)})
		f.WriteData(1, false, []byte("body"))
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: block("sum", "7")})
		get := []string{":method", "GET", ":scheme", "http", ":path", "*", "x", "a\r\nb: c", "connection", "x"}
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 3, EndHeaders: true, EndStream: true, BlockFragment: block(get...)})
		f.WriteRSTStream(3, framing.ErrCodeCancel)
		f.WriteHeaders(framing.HeadersFrameParam{StreamID: 5, EndHeaders: true, EndStream: true,
			BlockFragment: block(":method", "POST", ":scheme", "http", ":path", "/p.S/M", "content-type", "application/grpc")})
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		program := newPipes()
		server := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 1 {
				t.Errorf("the program got %s %s %s", r.Method, r.RequestURI, r.Proto)
			}
			io.Copy(w, r.Body)
		})}
		done := make(chan struct{})
		go func() {
			server.Serve(program)
			close(done)
		}()
		s := opened(func(c net.Conn) {
			select {
			case program.conns <- c:
			case <-program.closed:
				c.Close()
			}
		})
		heard := make(chan struct{})
		go func() {
			io.Copy(io.Discard, s)
			close(heard)
		}()
		io.WriteString(s, framing.ClientPreface)
		s.Write(b)
		s.Close()
		<-heard
		server.Close()
		<-done
	})
}

// FuzzProgram: whatever a program answers, each request of its caller ends.
func FuzzProgram(f *testing.F) {
	for _, says := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nb: c\r\n\r\n",
		"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/1.0 200 OK\r\n\r\nuntil the end"} {
		f.Add([]byte(says))
	}
	const window = 1 << 30
	requests := frames(func(f *framing.Framer, block func(...string) []byte) {
		f.WriteSettings(framing.Setting{ID: framing.SettingInitialWindowSize, Val: window})
		f.WriteWindowUpdate(0, window)
		for id := uint32(1); id < 6; id += 2 {
			f.WriteHeaders(framing.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true,
				BlockFragment: block(":method", "GET", ":scheme", "http", ":authority", "quote", ":path", "/")})
		}
	})
	f.Fuzz(func(t *testing.T, says []byte) {
		s := opened(func(c net.Conn) {
			go io.Copy(io.Discard, c)
			c.Write(says)
			c.Close()
		})
		defer s.Close()
		go func() {
			io.WriteString(s, framing.ClientPreface)
			s.Write(requests)
		}()
		r := framing.NewFramer(io.Discard, s)
		ended := map[uint32]bool{}
		for !ended[1] || !ended[3] || !ended[5] {
			f, err := r.ReadFrame()
			if err != nil {
				t.Fatalf("%q: %v after the end of %v", says, err, ended)
			}
			h := f.Header()
			if h.Type == framing.FrameRSTStream || (h.Type == framing.FrameData || h.Type == framing.FrameHeaders) && h.Flags.Has(framing.FlagDataEndStream) {
				ended[h.StreamID] = true
			}
			if away, ok := f.(*framing.GoAwayFrame); ok { // requests after that one are for the next connection
				for id := uint32(1); id < 6; id += 2 {
					ended[id] = ended[id] || id > away.LastStreamID
				}
			}
		}
	})
}
