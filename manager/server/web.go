package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
)

const (
	// answerTimeout bounds a request with its answer, and idleTimeout the wait for the next
	// one. Neither is about a carrier or a line: whoever takes over a connection has it
	// without deadlines.
	answerTimeout = 30 * time.Second
	idleTimeout   = time.Minute
	// maxHead bounds the head of a request. The API server passes on what the laptop's
	// proxies have added.
	maxHead = 64 << 10
	// agentStreams bounds the calls at a time of one connection of an agent, which has two.
	agentStreams = 8
	// grpcWindow is how many bytes of an agent may wait here to be read.
	grpcWindow = 64 << 10
)

// web serves HTTP on connections that come by a queue.
type web struct {
	*http.Server
	visits sync.Map // of connections that http.Server has, to their *budget.Visit
}

// http makes the server of a handler. The context of a request carries the Visit of its
// connection. Only the webhook reads bodies, and budget.Bounded bounds them.
func (s *Server) http(h http.Handler) *web {
	w := &web{}
	w.Server = &http.Server{Handler: h, MaxHeaderBytes: maxHead,
		ReadHeaderTimeout: shakeTimeout, ReadTimeout: shakeTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return budget.With(ctx, w.visit(c))
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateClosed:
				w.visit(c).Known()
				w.visits.Delete(c)
			case http.StateHijacked: // the handler has it, and its Visit
				w.visits.Delete(c)
			}
		}}
	return w
}

func (w *web) visit(c net.Conn) *budget.Visit {
	v, ok := w.visits.Load(c)
	if !ok {
		return nil
	}
	visit, _ := v.(*budget.Visit)
	return visit
}

// Accept implements net.Listener for http.Server, which must have the connection itself.
func (l visits) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if v, ok := c.(visitor); ok {
		l.web.visits.Store(v.Conn, v.visit)
		return v.Conn, nil
	}
	return c, err
}

// visits is a queue of visitors.
type visits struct {
	net.Listener
	web *web
}

// serve serves what comes by the queue until the server is closed.
func (w *web) serve(q *queue) { w.Serve(visits{q, w}) }
