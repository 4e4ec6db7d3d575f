package http1

import (
	"fmt"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// TestSlowHead: the application gets a head of which the rest does not come in time, and
// what comes later.
func TestSlowHead(t *testing.T) {
	for _, begin := range []string{"GET /l HT", "GET /l HTTP/1.1|Host: "} {
		p := newPlay(t)
		p.slowest = time.Nanosecond
		playAll(t, p, `
		caller says `+begin+`
		app hears `+begin+`
		caller says x||
		app hears x||
		app says HTTP/1.1 400 Bad|Content-Length: 0||
		caller hears HTTP/1.1 400 Bad|Content-Length: 0||
		caller ends
		app end
		app ends
		caller end`)
		p.opaque(flawSlow)
	}
}

// TestReserved: a target that has got a request is not passed over, although another one
// has taken the rest of the connection meanwhile; one that could not be reached has no
// exchange.
func TestReserved(t *testing.T) {
	p := newPlay(t)
	opening, resume := make(chan struct{}), make(chan struct{})
	p.laptop.before = func() {
		close(opening)
		<-resume
	}
	p.start("")
	p.act("caller says GET / HTTP/1.1||GET /l HTTP/1.1||", "app hears GET / HTTP/1.1||")
	<-opening
	p.act("app says HTTP/1.1 200 OK|Connection: close|Content-Length: 0||",
		"caller hears HTTP/1.1 200 OK|Connection: close|Content-Length: 0||")
	close(resume)
	p.act("laptop hears GET /l HTTP/1.1||", "laptop ends", "app ends", "caller end", "caller ends", "app end")
	if err := p.over(); err != nil {
		t.Error(err)
	}
}

// TestOneWrite: what arrives together for one target leaves in one write, on a new stream
// and on one that is kept.
func TestOneWrite(t *testing.T) {
	const a, b, c = "GET /l/1 HTTP/1.1\r\n\r\n", "POST /l/2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "PUT /l/3 HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"
	p := newPlay(t)
	writes := make(chan string, 10)
	p.laptop.first = func(b []byte) { writes <- string(b) }
	p.laptop.wrap = func(s tunnel.Stream) tunnel.Stream { return &written{s, writes} }
	p.start(a + b + "GET / HTTP/1.1\r\n\r\n" + b + c)
	for _, want := range []string{a + b, b + c} {
		if got := <-writes; got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
	p.act("app hears GET / HTTP/1.1||", "laptop hears "+a+b+b+c)
	tunneltest.Wait(t, "4 requests", func() bool { return p.laptop.arrived.Load() == 4 })
}

// written tells what is written to a stream, write by write.
type written struct {
	tunnel.Stream
	writes chan string
}

func (w *written) Write(p []byte) (int, error) {
	w.writes <- string(p)
	return w.Stream.Write(p)
}

// TestCountedOnce: a request that is decided about once more, since it could not leave with
// those before it, counts once.
func TestCountedOnce(t *testing.T) {
	for behind, want := range map[string]int{"": 3, "GET /l HTTP/1.1||": 4} {
		p := newPlay(t)
		p.start("")
		p.act("caller says GET /away1 HTTP/1.1||GET /away2 HTTP/1.1||GET /away3 HTTP/1.1||" + behind)
		for k := range 3 {
			p.act(fmt.Sprintf("app hears GET /away%d HTTP/1.1||", k+1), "app says HTTP/1.1 200 OK|Content-Length: 0||", "caller hears HTTP/1.1 200 OK|Content-Length: 0||")
		}
		if behind != "" {
			p.act("laptop hears "+behind, "laptop says HTTP/1.1 200 OK|Content-Length: 0||", "caller hears HTTP/1.1 200 OK")
		}
		p.to.mu.Lock()
		if p.to.counted != want || p.away.arrived.Load() != 3 || p.away.misses.Load() != 3 {
			t.Errorf("%q behind: %d counted, %d arrived, %d missed", behind, p.to.counted, p.away.arrived.Load(), p.away.misses.Load())
		}
		p.to.mu.Unlock()
	}
}
