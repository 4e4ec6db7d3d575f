package http2

import (
	"context"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"sync"
	"sync/atomic"
	"testing"

	framing "golang.org/x/net/http2"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// farEnd is a Target at an address.
type farEnd struct {
	address       string
	gone          chan struct{}
	mark          http.Field
	instead       http.Decision // of what is missed
	arrived       atomic.Int64
	missed        atomic.Int64
	in, out       atomic.Int64
	opened        atomic.Int64
	waiting       atomic.Int64 // bytes of copies
	full          atomic.Bool  // no more of them
	beforeOpening func()
}

func (t *farEnd) Open(ctx context.Context, first []byte) (tunnel.Stream, error) {
	t.opened.Add(1)
	if t.beforeOpening != nil {
		t.beforeOpening()
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(first); err != nil {
		return nil, err
	}
	return tunnel.NewTCP(c.(*net.TCPConn)), nil
}

func (t *farEnd) Arrived()                   { t.arrived.Add(1) }
func (t *farEnd) Missed(error) http.Decision { t.missed.Add(1); return t.instead }
func (t *farEnd) Moved(in, out int)          { t.in.Add(int64(in)); t.out.Add(int64(out)) }
func (t *farEnd) Gone() <-chan struct{}      { return t.gone }
func (t *farEnd) Mark() http.Field           { return t.mark }
func (t *farEnd) Waits(n int)                { t.waiting.Add(int64(n)) }
func (t *farEnd) Full() bool                 { return t.full.Load() }

// lab is a Switch that decides by the field "to", and one caller after the other.
type lab struct {
	t       testing.TB
	app     *farEnd
	mu      sync.Mutex
	by      map[string]http.Decision
	opaque  atomic.Int64
	counted atomic.Int64 // requests
	decided func(*match.Request)
	ctx     context.Context
	done    chan error // what Serve has returned
}

func newLab(t testing.TB, app *farEnd) *lab {
	return &lab{t: t, app: app, by: map[string]http.Decision{}, ctx: t.Context(), done: make(chan error, 10_000)}
}

func (l *lab) Decide(r *match.Request) http.Decision {
	l.counted.Add(1)
	return l.DecideAgain(r)
}

func (l *lab) DecideAgain(r *match.Request) http.Decision {
	if l.decided != nil {
		l.decided(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range r.Fields {
		if string(f.Name) == "to" {
			if d, ok := l.by[string(f.Value)]; ok {
				return d
			}
		}
	}
	return http.Decision{To: l.app}
}

func (l *lab) Application() http.Target { return l.app }
func (l *lab) Opaque(string)            { l.opaque.Add(1) }

func (l *lab) set(name string, d http.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by[name] = d
}

// connect returns a connection that Serve serves.
func (l *lab) connect() *net.TCPConn {
	l.t.Helper()
	client, server := tunneltest.Pair(l.t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		first := make([]byte, len(framing.ClientPreface))
		n, err := server.Read(first)
		if err != nil {
			l.done <- err
			server.Close()
			return
		}
		l.done <- Serve(l.ctx, tunnel.NewTCP(server), first[:n], l, slog.New(slog.DiscardHandler))
	}()
	l.t.Cleanup(func() {
		client.Close()
		<-ended
	})
	return client
}

// client returns an HTTP client with one connection through Serve.
func (l *lab) client() *nethttp.Client {
	return clientOf(l.t, func() (net.Conn, error) { return l.connect(), nil })
}

// clientOf returns an HTTP/2 client that connects as dial does.
func clientOf(t testing.TB, dial func() (net.Conn, error)) *nethttp.Client {
	tr := &nethttp.Transport{Protocols: clear2(), DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
	t.Cleanup(tr.CloseIdleConnections)
	return &nethttp.Client{Transport: tr}
}

// clear2 is HTTP/2 in clear text, and nothing else.
func clear2() *nethttp.Protocols {
	p := &nethttp.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return p
}

// serve returns the address of an HTTP/2 server.
func serve(t testing.TB, h nethttp.Handler) string {
	return serveWith(t, nethttp.HTTP2Config{}, h)
}

func serveWith(t testing.TB, config nethttp.HTTP2Config, h nethttp.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nethttp.Server{Handler: h, Protocols: clear2(), HTTP2: &config, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// named answers with its name and the body of the request.
func named(name string) nethttp.HandlerFunc {
	return func(w nethttp.ResponseWriter, r *nethttp.Request) {
		w.Header().Set("Server-Name", name)
		w.Header().Set("Got-Id", r.Header.Get("Id"))
		io.Copy(w, r.Body)
	}
}
