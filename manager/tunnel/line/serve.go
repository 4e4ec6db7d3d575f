package line

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// Server is the session's end of its lines.
type Server struct{ cert []tls.Certificate }

// NewServer returns a Server of the session that has the identity.
func NewServer(own *handshake.Identity) (*Server, error) {
	cert, err := own.Certificate()
	if err != nil {
		return nil, err
	}
	return &Server{cert: cert}, nil
}

// Accept shakes hands with the agent that a line was assigned to.
func (s *Server) Accept(ctx context.Context, c net.Conn, j *handshake.LineAssigned) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, lineTimeout)
	defer cancel()
	t := tls.Server(record.NewConn(c), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{handshake.ALPNFlow}, DynamicRecordSizingDisabled: true,
		Certificates: s.cert, SessionTicketsDisabled: true,
		ClientAuth: tls.RequireAnyClientCert, VerifyConnection: pinned(j.Agent),
	})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("shake hands with the agent of pod %s: %w", j.Pod, err)
	}
	return newConn(t, true)
}

// Serve serves the flows on a line, one after the other, until the line breaks. It
// owns the connection. It denies flows that allowed does not allow.
func Serve(ctx context.Context, c *Conn, allowed func(*frame.Open) bool, h tunnel.Handler) {
	stop := context.AfterFunc(ctx, c.Reset)
	defer stop()
	ServeEach(c, func(f tunnel.Stream) {
		defer f.Close()
		open, err := frame.ReadOpen(f)
		if err != nil {
			return
		}
		in := &lineFlow{stream: f}
		if allowed(open) {
			err = h(ctx, open, in)
		} else {
			err = frame.ErrDenied
		}
		switch {
		case in.accepted && err != nil:
			f.Reset()
		case !in.accepted:
			in.refuse(err)
		}
	})
}

// ServeEach calls serve for the flows on a connection, one after the other, until
// the connection is unusable. Serve must close each flow.
func ServeEach(c *Conn, serve func(tunnel.Stream)) {
	for next := tunnel.Stream(c); next != nil; {
		now := next
		next = nil
		if f, ok := now.(*Conn); ok {
			f.OnIdle(func(s tunnel.Stream) { next = s })
		}
		serve(now)
	}
}

// lineFlow is the acceptor's end of a flow on a line.
type lineFlow struct {
	stream   tunnel.Stream
	accepted bool
}

var _ tunnel.Incoming = (*lineFlow)(nil)

// Accept tells the agent that the target is reached.
func (f *lineFlow) Accept() error {
	f.accepted = true
	return frame.WriteVerdict(f.stream, frame.Accepted)
}

// Join moves bytes between the flow and s until both directions have ended.
func (f *lineFlow) Join(s tunnel.Stream, count tunnel.Count) error {
	return tunnel.Pipe(f.stream, s, count)
}

func (f *lineFlow) refuse(err error) {
	if frame.WriteRefusal(f.stream, err) != nil {
		f.stream.Reset()
	} else if c, ok := f.stream.(*Conn); ok {
		c.Refused()
	}
}
