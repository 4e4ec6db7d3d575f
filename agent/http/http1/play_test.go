package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// target is a far end that a test listens for.
type target struct {
	name   string
	addr   string
	mark   http.Field
	gone   chan struct{}
	missed http.Decision
	wrap   func(tunnel.Stream) tunnel.Stream // the stream; nil for none
	before func()                            // opening it; nil for nothing
	first  func([]byte)                      // is told what travels with the opening

	opened, arrived, misses, in, out, waiting atomic.Int64
}

func (t *target) Open(ctx context.Context, first []byte) (tunnel.Stream, error) {
	if t.before != nil {
		t.before()
	}
	if t.first != nil {
		t.first(first)
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(first); err != nil {
		return nil, err
	}
	t.opened.Add(1)
	s := tunnel.NewTCP(c.(*net.TCPConn))
	if t.wrap != nil {
		s = t.wrap(s)
	}
	return s, nil
}

func (t *target) Arrived()                   { t.arrived.Add(1) }
func (t *target) Missed(error) http.Decision { t.misses.Add(1); return t.missed }
func (t *target) Moved(in, out int)          { t.in.Add(int64(in)); t.out.Add(int64(out)) }
func (t *target) Gone() <-chan struct{}      { return t.gone }
func (t *target) Mark() http.Field           { return t.mark }
func (t *target) Waits(n int)                { t.waiting.Add(int64(n)) }
func (t *target) Full() bool                 { return false }

// paths is a Switch that decides by the beginning of the path.
type paths struct {
	application *target
	others      map[string]http.Decision

	mu      sync.Mutex
	reasons []string
	counted int // requests
}

func (p *paths) Decide(r *match.Request) http.Decision {
	p.mu.Lock()
	p.counted++
	p.mu.Unlock()
	return p.DecideAgain(r)
}

func (p *paths) DecideAgain(r *match.Request) http.Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	for prefix, d := range p.others {
		if bytes.HasPrefix(r.Path, []byte(prefix)) {
			return d
		}
	}
	return http.Decision{To: p.application}
}

func (p *paths) Application() http.Target { return p.application }

func (p *paths) Opaque(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reasons = append(p.reasons, reason)
}

// play is a connection of a caller with the application and a laptop, all of which a test
// plays.
type play struct {
	*testing.T
	to          *paths
	app, laptop *target
	away        *target // refuses connections; the application has its requests
	listeners   map[string]net.Listener
	conns       map[string]*net.TCPConn
	served      chan error
	wrap        func(tunnel.Stream) tunnel.Stream // the caller's stream; nil for none
	stop        context.CancelFunc
	slowest     time.Duration // that a head may be
}

func newPlay(t *testing.T) *play {
	p := &play{T: t, listeners: map[string]net.Listener{}, conns: map[string]*net.TCPConn{}, served: make(chan error, 1), slowest: headWait}
	listen := func(name string) *target {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		p.listeners[name] = l
		return &target{name: name, addr: l.Addr().String()}
	}
	p.app, p.laptop, p.away = listen("app"), listen("laptop"), listen("away")
	p.laptop.mark, p.laptop.gone = http.Field{Name: "x-intercept", Value: "blue"}, make(chan struct{})
	p.listeners["away"].Close()
	p.away.missed = http.Decision{To: p.app}
	p.to = &paths{application: p.app, others: map[string]http.Decision{
		"/l":    {To: p.laptop},
		"/away": {To: p.away},
		"/over": {Answer: &http.Answer{Status: 503, Body: "over!", Fields: []http.Field{{Name: "x-intercept", Value: "blue"}}}},
	}}
	return p
}

// start serves the caller, with what was read before.
func (p *play) start(first string) *play {
	near, far := tunneltest.Pair(p.T)
	ctx, stop := context.WithCancel(p.Context())
	p.stop, p.conns["caller"] = stop, near
	caller := tunnel.NewTCP(far)
	if p.wrap != nil {
		caller = p.wrap(caller)
	}
	go func() {
		p.served <- serve(ctx, caller, []byte(first), p.to, slog.New(slog.DiscardHandler), p.slowest)
	}()
	p.Cleanup(func() {
		stop()
		near.Close()
	})
	return p
}

// conn is the connection of a role. Targets accept it when they need it.
func (p *play) conn(role string) *net.TCPConn {
	p.Helper()
	if c := p.conns[role]; c != nil {
		return c
	}
	l := p.listeners[role].(*net.TCPListener)
	l.SetDeadline(time.Now().Add(patience))
	c, err := l.AcceptTCP()
	if err != nil {
		p.Fatalf("%s is not called: %v", role, err)
	}
	p.Cleanup(func() { c.Close() })
	p.conns[role] = c
	return c
}

// patience is how long a test waits for what never comes.
const patience = 10 * time.Second

// act plays the steps, each of which is a role, a verb and a text in which | is CR LF.
func (p *play) act(steps ...string) {
	p.Helper()
	for _, step := range steps {
		role, step, _ := strings.Cut(step, " ")
		verb, text, _ := strings.Cut(step, " ")
		text = strings.ReplaceAll(text, "|", "\r\n")
		c := p.conn(role)
		c.SetDeadline(time.Now().Add(patience))
		switch verb {
		case "says":
			if _, err := io.WriteString(c, text); err != nil {
				p.Fatalf("%s %s: %v", role, step, err)
			}
		case "hears":
			got := make([]byte, len(text))
			n, err := io.ReadFull(c, got)
			if err != nil || string(got) != text {
				p.Fatalf("%s hears %q, %v\nwant %q", role, got[:n], err, text)
			}
		case "ends":
			c.CloseWrite()
		case "closes":
			c.Close()
			delete(p.conns, role)
		case "resets":
			c.SetLinger(0)
			c.Close()
		case "end": // and nothing before
			if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				p.Fatalf("%s: no end: %d bytes, %v", role, n, err)
			}
		case "reset":
			for {
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) {
					break
				} else if err != nil {
					p.Fatalf("%s: no reset: %v", role, err)
				}
			}
		case "again": // the next connection
			delete(p.conns, role)
			p.conn(role)
		default:
			p.Fatalf("%s?", verb)
		}
	}
}

// over waits until the connection is served.
func (p *play) over() error {
	p.Helper()
	select {
	case err := <-p.served:
		return err
	case <-time.After(patience):
		p.Fatal("still served")
		return nil
	}
}

// opaque wants the first reason to be this.
func (p *play) opaque(want string) {
	p.Helper()
	p.to.mu.Lock()
	defer p.to.mu.Unlock()
	if len(p.to.reasons) == 0 || p.to.reasons[0] != want {
		p.Errorf("opaque: %q, want %q", p.to.reasons, want)
	}
}
