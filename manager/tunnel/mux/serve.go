package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// inFlow is the acceptor's end of a flow on a carrier.
type inFlow struct {
	flow
	stream grpc.ServerStream
}

var _ tunnel.Incoming = (*inFlow)(nil)

// Accept tells the opener that the target is reached.
func (f *inFlow) Accept() error { return f.stream.SendHeader(metadata.MD{}) }

// Join moves bytes between the flow and s until both directions have ended,
// and closes s.
func (f *inFlow) Join(s tunnel.Stream, count tunnel.Count) error {
	defer s.Close()
	return f.join(s, count, func() {})
}

// controlTimeout is how long the opener of a carrier may take to open the control stream.
const controlTimeout = 10 * time.Second

// Serve accepts flows on a carrier until it breaks or ctx ends. It owns c.
// Windows of its flows grow within budget. A carrier without a control stream ends: its
// flows would wait for grants.
func Serve(ctx context.Context, c net.Conn, budget *Budget, h tunnel.Handler) error {
	return ServeBounded(ctx, c, budget, func() (func(), error) { return func() {}, nil }, h)
}

// ServeBounded is Serve with a bound on flows. It calls admit when a flow begins, before the
// peer has said which, and release when the flow has ended. The peer is told an error of
// admit as one of the Handler.
func ServeBounded(ctx context.Context, c net.Conn, budget *Budget, admit Admit, h tunnel.Handler) error {
	defer c.Close()
	s := &acceptor{control: newControl(), budget: budget, admit: admit, handler: h}
	s.control.tell(c)
	server := grpc.NewServer(serverOptions()...)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		{StreamName: "Flow", ServerStreams: true, ClientStreams: true, Handler: s.flow},
		{StreamName: "Control", ServerStreams: true, ClientStreams: true, Handler: s.controlStream},
	}}, nil)
	l := newOneListener(c)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	late := time.AfterFunc(controlTimeout, func() {
		if !s.control.isReady() {
			l.Close()
		}
	})
	defer late.Stop()
	defer server.Stop()
	if err := server.Serve(l); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Admit takes a flow from a budget.
type Admit func() (release func(), err error)

type acceptor struct {
	control *control
	budget  *Budget
	admit   Admit
	handler tunnel.Handler
}

func (a *acceptor) controlStream(_ any, s grpc.ServerStream) error {
	if err := s.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	return a.control.run(s)
}

func (a *acceptor) flow(_ any, s grpc.ServerStream) error {
	release, err := a.admit()
	if err != nil {
		return toStatus(err)
	}
	defer release()
	var m mem.BufferSlice
	if err := s.RecvMsg(&m); err != nil {
		return err
	}
	open, err := frame.ParseOpen(m.Materialize())
	m.Free()
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	f := &inFlow{stream: s, flow: flow{messenger: s, ctx: s.Context(), id: open.Flow, control: a.control,
		credit: newCredit(), window: newWindow(a.budget)}}
	if !a.control.add(open.Flow, f.credit) {
		return status.Error(codes.InvalidArgument, "flow number is in use")
	}
	defer f.close()
	if err := a.handler(s.Context(), open, f); err != nil {
		return toStatus(err)
	}
	return nil
}

// oneListener is a listener that accepts one connection, and closes with it.
type oneListener struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
	c      net.Conn
}

func newOneListener(c net.Conn) *oneListener {
	l := &oneListener{conn: make(chan net.Conn, 1), closed: make(chan struct{}), addr: c.LocalAddr(), c: c}
	l.conn <- closeNotifier{c, l}
	return l
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, io.EOF
	}
}

func (l *oneListener) Close() error {
	l.once.Do(func() { close(l.closed); l.c.Close() })
	return nil
}

func (l *oneListener) Addr() net.Addr { return l.addr }

// closeNotifier closes the listener together with its connection.
type closeNotifier struct {
	net.Conn
	l *oneListener
}

func (c closeNotifier) Close() error { return c.l.Close() }
