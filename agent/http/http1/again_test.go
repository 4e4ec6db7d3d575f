package http1

import (
	"io"
	"sync"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// lateEnd is a stream whose end is not seen before something is written to it.
type lateEnd struct {
	tunnel.Stream
	once  sync.Once
	wrote chan struct{}
	err   error // of writing
}

func (l *lateEnd) Read(p []byte) (int, error) {
	n, err := l.Stream.Read(p)
	if err == io.EOF {
		<-l.wrote
	}
	return n, err
}

func (l *lateEnd) Write(p []byte) (int, error) {
	defer l.once.Do(func() { close(l.wrote) })
	if l.err != nil {
		return 0, l.err
	}
	return len(p), nil
}

// TestSendAgain: a request that meets the end of an idle stream to a laptop is sent again
// if that does no harm.
func TestSendAgain(t *testing.T) {
	const begin = `
		caller says GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||
		laptop ends`
	const ends = `
		caller end`
	for _, tt := range []struct{ name, steps string }{
		{"idempotent", begin + `
		caller says PUT /l HTTP/1.1|Content-Length: 1||x
		laptop again
		laptop hears PUT /l HTTP/1.1|Content-Length: 1||x
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||
		caller says GET /l HTTP/1.1||
		laptop hears GET /l HTTP/1.1||
		laptop says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0|x-intercept: blue||`},
		{"not idempotent", begin + `
		caller says POST /l HTTP/1.1|Content-Length: 1||x` + ends},
		{"a body that was not kept", begin + `
		caller says PUT /l HTTP/1.1|Content-Length: 2||x` + ends},
		{"the application's", `
		caller says GET / HTTP/1.1||
		app hears GET / HTTP/1.1||
		app says HTTP/1.1 200 OK|Content-Length: 0||
		caller hears HTTP/1.1 200 OK|Content-Length: 0||
		app ends
		caller says GET / HTTP/1.1||` + ends},
	} {
		for name, err := range map[string]error{"written": nil, "refused": syscall.EPIPE} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				p := newPlay(t)
				var opened sync.Map
				late := func(s tunnel.Stream) tunnel.Stream {
					if _, again := opened.LoadOrStore("", true); again {
						return s
					}
					return &lateEnd{Stream: s, wrote: make(chan struct{}), err: err}
				}
				p.laptop.wrap, p.app.wrap = late, late
				playAll(t, p, tt.steps)
			})
		}
	}
}

// TestRequestMeetsEnd: a request that comes between the end of an idle stream and its
// consequences is answered by what reads the stream, and not forgotten.
func TestRequestMeetsEnd(t *testing.T) {
	for _, to := range []string{"laptop", "app"} {
		p := newPlay(t)
		c := &conn{to: p.to}
		c.changed.L = &c.mu
		f := c.newFar(map[string]*target{"laptop": p.laptop, "app": p.app}[to])
		c.join(f)
		if _, ok := c.turn(f); ok {
			t.Fatalf("%s: a turn without a request", to)
		}
		if err := c.add(false, f, exchange{}); err != nil { // now
			t.Fatal(err)
		}
		if !f.unasked(io.EOF) {
			t.Errorf("%s: nobody answers the request", to)
		}
		if _, ok := c.turn(f); !ok {
			t.Errorf("%s: the request has no turn", to)
		}
		c.takeRest(c.newFar(p.away), false)
		if f.unasked(io.EOF) {
			t.Errorf("%s: it waits for a turn that does not come", to)
		}
	}
}
