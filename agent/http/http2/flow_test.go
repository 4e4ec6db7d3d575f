package http2

import (
	"bytes"
	"io"
	nethttp "net/http"
	"strings"
	"testing"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// Streams whose far ends do not read stop no other, of the same target or of another.
func TestStalledStreams(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	handler := func(name string) nethttp.HandlerFunc {
		return func(w nethttp.ResponseWriter, r *nethttp.Request) {
			if r.Header.Get("Stall") == "" {
				named(name)(w, r)
				return
			}
			w.WriteHeader(200)
			w.(nethttp.Flusher).Flush()
			<-stop
		}
	}
	// Their connections' windows are not used up by the streams that stand still.
	server := nethttp.HTTP2Config{MaxReceiveBufferPerConnection: 64 << 20, MaxReceiveBufferPerStream: 1 << 20}
	l := newLab(t, &farEnd{address: serveWith(t, server, handler("app"))})
	l.set("laptop", http.Decision{To: &farEnd{address: serveWith(t, server, handler("laptop"))}})
	c := l.client()
	for _, to := range []string{"app", "laptop"} {
		for range 3 {
			r, err := nethttp.NewRequestWithContext(t.Context(), "POST", "http://a/", zeros{})
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("To", to)
			r.Header.Set("Stall", "1")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
		}
	}
	body := strings.Repeat("0123456789", 1<<20)
	for _, to := range []string{"laptop", "app"} {
		if _, got := request(t, c, "POST", strings.NewReader(body), "To", to); got != body {
			t.Errorf("%d bytes came back from %s", len(got), to)
		}
	}
}

// zeros is a body without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A caller that does not read one answer reads the others.
func TestStalledAnswer(t *testing.T) {
	l := newLab(t, &farEnd{address: serve(t, nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.Header.Get("Endless") != "" {
			io.Copy(w, zeros{})
		}
		io.Copy(w, r.Body)
	}))})
	c := l.client()
	r, err := nethttp.NewRequestWithContext(t.Context(), "GET", "http://a/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Endless", "1")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := bytes.Repeat([]byte("0123456789"), 1<<20)
	if _, got := request(t, c, "POST", bytes.NewReader(body)); got != string(body) {
		t.Errorf("%d bytes came back", len(got))
	}
}

// What a far end does not take is not asked of the caller: what waits is bounded.
func TestCreditFollowsFarEnd(t *testing.T) {
	far, accept := scripted(t, framing.Setting{ID: framing.SettingInitialWindowSize, Val: 10})
	c := newLab(t, far).caller()
	c.get(1, false)
	target := accept()
	target.expect(posted(1))
	for left := firstWindow; left > 0; left -= maxFrame {
		c.WriteData(1, false, make([]byte, min(left, maxFrame)))
	}
	c.WritePing(false, [8]byte{1})
	granted := uint32(0)
	for ack := false; !ack; {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *framing.WindowUpdateFrame:
			if f.StreamID == 1 {
				granted += f.Increment
			}
		case *framing.PingFrame:
			ack = f.IsAck()
		}
	}
	if granted != 0 {
		t.Errorf("%d more were granted", granted)
	}
}
