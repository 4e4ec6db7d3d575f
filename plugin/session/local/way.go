package local

import (
	"context"
	"log/slog"
	"net"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/translator"
)

// way is how one flow comes to its program.
type way struct {
	entry *entry
	at    endpoint
	flow  *frame.Open
	log   *slog.Logger
}

// open connects with the program. Left is to be called when the flow has ended, also after
// an error.
func (w *way) open(ctx context.Context) (s tunnel.Stream, left func(), err error) {
	translate, left, err := w.translates(ctx)
	if err != nil {
		return nil, left, err
	}
	in := w.entry.program()
	conn, s, err := dial(ctx, in, w.at)
	switch {
	case err != nil:
		w.entry.version(w.at).forget()
	case w.at.protocol == frame.UDP:
		_, s, err = ask(ctx, conn, s, in, w.at, w.flow.First)
	case translate:
		if s, err = w.translated(ctx, conn); err != nil {
			w.entry.version(w.at).forget() // what is there now may speak HTTP/2 only
		}
	case len(w.flow.First) == 0 && w.entry.localProtocol(w.at) == v1alpha1.LocalHTTP1:
		s, err = w.later(conn)
	case w.entry.speaksTLS(w.at, w.flow):
		s, err = secure(ctx, conn, w.flow)
	}
	return s, left, err
}

// later is a connection for a flow without bytes yet, to a program of HTTP/1.1.
func (w *way) later(conn net.Conn) (tunnel.Stream, error) {
	below, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errNotTCP
	}
	return await(below, func(first []byte) (tunnel.Stream, error) {
		switch {
		case isHTTP2(first):
			return w.translated(context.Background(), conn)
		case w.entry.speaksTLS(w.at, w.flow):
			return toProgram(context.Background(), below, w.flow.ServerName, first)
		}
		return tunnel.NewTCP(below), nil
	}), nil
}

// translates says whether the program gets a flow in HTTP/1.1 that is in HTTP/2.
func (w *way) translates(ctx context.Context) (yes bool, left func(), err error) {
	nothing := func() {}
	if w.at.protocol == frame.UDP || !isHTTP2(w.flow.First) {
		return false, nothing, nil
	}
	switch w.entry.localProtocol(w.at) {
	case v1alpha1.LocalHTTP1:
		return true, nothing, nil
	case v1alpha1.LocalHTTP2:
		return false, nothing, nil
	}
	if w.entry.object().Spec.Match == nil {
		return false, nothing, nil // it takes connections, whatever they are
	}
	v := w.entry.version(w.at)
	http1, err := v.ask(ctx, w.probe)
	if err != nil || http1 {
		return http1, nothing, err
	}
	return false, v.leave, nil
}

// dial connects with the program, in TLS if it speaks that. Protocols are what it may
// choose by ALPN.
func (w *way) dial(ctx context.Context, protocols ...string) (net.Conn, error) {
	conn, _, err := dial(ctx, w.entry.program(), w.at)
	if err != nil {
		return nil, err
	}
	return w.dialed(ctx, conn, protocols...)
}

// dialed makes TLS of a new connection if the program speaks that.
func (w *way) dialed(ctx context.Context, conn net.Conn, protocols ...string) (net.Conn, error) {
	if !w.entry.speaksTLS(w.at, w.flow) {
		return conn, nil
	}
	c, err := handshake(ctx, conn, w.flow.ServerName, protocols...)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// translated is the far end of a flow in HTTP/2 whose requests the program gets in
// HTTP/1.1. Conn is for the first one.
func (w *way) translated(ctx context.Context, conn net.Conn) (tunnel.Stream, error) {
	first, err := w.dialed(ctx, conn, alpnHTTP1)
	if err != nil {
		return nil, err
	}
	return translator.New(translator.Program{
		Address: w.at.String(),
		Told:    w.entry.localProtocol(w.at) == v1alpha1.LocalHTTP1,
		First:   first,
		Dial:    func(ctx context.Context) (net.Conn, error) { return w.dial(ctx, alpnHTTP1) },
		Doubt:   w.entry.version(w.at).forget,
	}, w.log), nil
}
