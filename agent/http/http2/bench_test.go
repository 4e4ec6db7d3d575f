package http2

import (
	"bytes"
	"io"
	"net"
	nethttp "net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	framing "golang.org/x/net/http2"
)

// ways are how a benchmark reaches its server: directly, and through Serve.
func ways(b *testing.B, h nethttp.HandlerFunc, run func(*testing.B, *nethttp.Client)) {
	address := serveWith(b, nethttp.HTTP2Config{MaxReadFrameSize: maxFrame}, h) // as we announce
	b.Run("direct", func(b *testing.B) {
		run(b, clientOf(b, func() (net.Conn, error) { return net.Dial("tcp", address) }))
	})
	b.Run("through", func(b *testing.B) {
		l := newLab(b, &farEnd{address: address})
		c := l.client()
		defer func() {
			select {
			case err := <-l.done: // nil of the connections that the client does not need
				if err != nil && err != io.EOF {
					b.Error(err)
				}
			default:
			}
		}()
		run(b, c)
	})
}

// BenchmarkRequests has 100 requests at once on one connection.
func BenchmarkRequests(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	ways(b, func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.Write(body) }, func(b *testing.B, c *nethttp.Client) {
		b.ReportAllocs()
		var left atomic.Int64
		left.Store(int64(b.N))
		done := make(chan struct{})
		for range 100 {
			go func() {
				for left.Add(-1) >= 0 {
					request(b, c, "GET", nil)
				}
				done <- struct{}{}
			}()
		}
		for range 100 {
			<-done
		}
	})
}

// BenchmarkOne has one request at a time.
func BenchmarkOne(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	ways(b, func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.Write(body) }, func(b *testing.B, c *nethttp.Client) {
		for b.Loop() {
			request(b, c, "GET", nil)
		}
	})
}

// BenchmarkDownload has one answer of 16 MiB at a time, and BenchmarkUpload one such request.
func BenchmarkDownload(b *testing.B) {
	body := make([]byte, 16<<20)
	ways(b, func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.Write(body) }, func(b *testing.B, c *nethttp.Client) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			resp, err := c.Get("http://a/")
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}

func BenchmarkUpload(b *testing.B) {
	body := strings.Repeat("x", 16<<20)
	ways(b, func(_ nethttp.ResponseWriter, r *nethttp.Request) { io.Copy(io.Discard, r.Body) }, func(b *testing.B, c *nethttp.Client) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			request(b, c, "POST", strings.NewReader(body))
		}
	})
}

// BenchmarkIdle says what an idle connection takes that has had a request: the memory of
// Serve, and the peers' buffers in this process, which are small.
func BenchmarkIdle(b *testing.B) {
	far, accept := scripted(b)
	l := newLab(b, far)
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		c := l.caller()
		c.get(1, true, "user-agent", "benchmark/1.0", "authorization", strings.Repeat("x", 100))
		target := accept()
		target.next()
		target.headers(1, true, ":status", "200", "server", "benchmark")
		c.next()
		c.Framer, target.Framer = nil, nil
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/float64(b.N), "B/conn")
}

// DATA passes without an allocation.
func TestDataAllocatesNothing(t *testing.T) {
	far, accept := scripted(t, framing.Setting{ID: framing.SettingInitialWindowSize, Val: 1 << 30})
	c := newLab(t, far).caller()
	c.get(1, false)
	target := accept()
	target.expect(posted(1))
	target.WriteWindowUpdate(0, 1<<30)
	var b bytes.Buffer
	framing.NewFramer(&b, nil).WriteData(1, false, make([]byte, 1<<10))
	got := make([]byte, b.Len())
	go io.Copy(io.Discard, c.conn) // WINDOW_UPDATE
	pass := func() {
		if _, err := c.conn.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(target.conn, got); err != nil {
			t.Fatal(err)
		}
	}
	pass()
	if n := testing.AllocsPerRun(2000, pass); n >= 1 {
		t.Errorf("%v allocations for each frame", n)
	}
}
