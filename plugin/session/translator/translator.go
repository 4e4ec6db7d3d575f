// Package translator serves the HTTP/2 connections of callers with a program that speaks
// HTTP/1.1 only.
//
// Requests of one connection do not wait for each other, also if the program leaves the
// body of one unread. What is lost are trailers of a request that its header Trailer does
// not announce: net/http's server drops them. The trailers of answers all pass.
package translator

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

const (
	// maxIdle is how many connections to the program are kept between the requests of
	// one caller's connection, and idle for how long.
	maxIdle = 64
	idle    = 90 * time.Second

	// maxRequests is how many requests of one caller's connection run at once. maxBody is
	// how much of a request's body waits for the program. The window of the connection has
	// room for all of them, so that a body that nobody reads does not stop the others.
	maxRequests = 250
	maxBody     = 256 << 10
)

// Program is what speaks HTTP/1.1.
type Program struct {
	// Address names the program in answers: "127.0.0.1:8080".
	Address string
	// Told says that the user called it a program of HTTP/1.1. Otherwise a test did.
	Told bool
	// First is a connection to the program, for the first request. The translator closes
	// it.
	First net.Conn
	// Dial opens the connections for other requests.
	Dial func(context.Context) (net.Conn, error)
	// Doubt is called after a request that the program did not answer in HTTP/1.1, and
	// after one that HTTP/1.1 cannot carry: by now there may be another program.
	Doubt func()
}

// translator is the server of one caller's connection, and the client of the program.
type translator struct {
	program Program
	first   atomic.Pointer[net.Conn] // nil once it is used
	proxy   *httputil.ReverseProxy
}

// New returns a connection that speaks HTTP/2, as a server does. The program gets its
// requests in HTTP/1.1. All that New began ends when the connection is closed.
func New(p Program, log *slog.Logger) tunnel.Stream {
	t := &translator{program: p}
	t.first.Store(&p.First)
	transport := &http.Transport{DialContext: t.dial, DisableCompression: true, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idle,
		Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(true)
	logger := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	t.proxy = &httputil.ReverseProxy{Transport: transport, Rewrite: t.rewrite, ErrorHandler: t.failed, FlushInterval: -1, ErrorLog: logger}
	server := &http.Server{Handler: t, ErrorLog: logger, Protocols: new(http.Protocols), DisableGeneralOptionsHandler: true, HTTP2: &http.HTTP2Config{
		MaxConcurrentStreams: maxRequests, MaxReceiveBufferPerStream: maxBody, MaxReceiveBufferPerConnection: maxRequests * maxBody}}
	server.Protocols.SetUnencryptedHTTP2(true)

	outside, inside := net.Pipe()
	go func() {
		_ = server.Serve(newListener(inside)) // it ends with the connection
		transport.CloseIdleConnections()
		if c := t.first.Swap(nil); c != nil {
			(*c).Close()
		}
	}()
	return &outbound.PipeEnd{Conn: outside}
}

func (t *translator) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if c := t.first.Swap(nil); c != nil {
		return *c, nil
	}
	return t.program.Dial(ctx)
}

// ServeHTTP implements http.Handler.
func (t *translator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isGRPC(r.Header):
		t.refuseGRPC(w)
	case r.Method == http.MethodConnect:
		t.refuseConnect(w)
	default:
		t.proxy.ServeHTTP(plain{w}, r)
	}
}

// rewrite makes the program's request what the caller's was. The proxy has taken out and
// tidied up what a proxy towards others should.
func (t *translator) rewrite(r *httputil.ProxyRequest) {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = v
		}
	}
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery = "http", t.program.Address, r.In.URL.RawQuery
	if path, _, _ := strings.Cut(r.In.RequestURI, "?"); strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		r.Out.URL.Opaque = path // as the caller has spelled it
	}
	if len(r.In.Trailer) > 0 {
		r.Out.Trailer = r.In.Trailer // the server fills it in after the body
		r.Out.ContentLength = -1     // trailers need chunks (RFC 9112, section 7.1.2)
	}
}

// plain is an answer to which the server adds nothing that the program's does not have.
type plain struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (p plain) WriteHeader(code int) {
	if h := p.Header(); code >= http.StatusOK {
		for _, name := range []string{"Date", "Content-Type"} {
			if _, ok := h[name]; !ok {
				h[name] = nil
			}
		}
	}
	p.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (p plain) Unwrap() http.ResponseWriter { return p.ResponseWriter }
