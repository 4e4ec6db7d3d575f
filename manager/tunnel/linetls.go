package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// lineTimeout bounds the handshake between agent and session.
const lineTimeout = 10 * time.Second

// NoLineError is a relay's answer to a request for a line.
type NoLineError struct{ Verdict Verdict }

// Error says why.
func (e *NoLineError) Error() string { return "no line: " + e.Verdict.String() }

// DialLine asks the relay at addr for a line, and shakes hands with the
// session. Cfg proves the pod to the relay; its certificate is shown
// to the session, too. The error is a NoLineError if the relay has none.
func DialLine(ctx context.Context, addr string, cfg *tls.Config, q *LineRequest) (*FlowConn, error) {
	c, err := relayDialer().DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial relay: %w", err)
	}
	f, err := requestLine(ctx, NewRecordConn(c), cfg, q)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("dial relay %s: %w", addr, err)
	}
	return f, nil
}

// requestLine speaks TLS with the relay up to its answer, and with the session
// from there on. The RecordConn keeps the two apart.
func requestLine(ctx context.Context, c *RecordConn, cfg *tls.Config, q *LineRequest) (*FlowConn, error) {
	outer := cfg.Clone()
	outer.NextProtos, outer.MinVersion = []string{ALPNLine}, tls.VersionTLS13
	relay := tls.Client(c, outer)
	if err := relay.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := WriteLineRequest(relay, q); err != nil {
		return nil, err
	}
	v, pin, err := ReadLineAnswer(relay)
	if err != nil {
		return nil, err
	}
	if v != Accepted {
		return nil, &NoLineError{v}
	}
	f, err := JoinLine(ctx, c, cfg.Certificates, pin)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	return f, err
}

// JoinLine shakes hands with the session at the other end of a line. The
// certificate is the one whose pin the session was told.
func JoinLine(ctx context.Context, c *RecordConn, own []tls.Certificate, session Pin) (*FlowConn, error) {
	t := tls.Client(c, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ALPNFlow}, DynamicRecordSizingDisabled: true,
		Certificates: own, InsecureSkipVerify: true, VerifyConnection: pinned(session),
	})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("shake hands with the session: %w", err)
	}
	return newFlowConn(t, true)
}

// pinned accepts the peer with that key and no other.
func pinned(p Pin) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || PinOf(s.PeerCertificates[0]) != p {
			return errors.New("the peer is not the one that the relay named")
		}
		return nil
	}
}

// LineServer is the session's end of its lines.
type LineServer struct {
	keys *LineKeys
	cert []tls.Certificate
}

// NewLineServer shows the session's key.
func NewLineServer(k *LineKeys) (*LineServer, error) {
	cert, err := k.Certificate()
	if err != nil {
		return nil, err
	}
	return &LineServer{keys: k, cert: cert}, nil
}

// Accept shakes hands with the agent that a line was joined with.
func (s *LineServer) Accept(ctx context.Context, c net.Conn, j *LineJoined) (*FlowConn, error) {
	ctx, cancel := context.WithTimeout(ctx, lineTimeout)
	defer cancel()
	t := tls.Server(NewRecordConn(c), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ALPNFlow}, DynamicRecordSizingDisabled: true,
		Certificates: s.cert, SessionTicketsDisabled: true,
		ClientAuth: tls.RequireAnyClientCert, VerifyConnection: pinned(j.Agent),
	})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("shake hands with the agent of pod %s: %w", j.Pod, err)
	}
	return newFlowConn(t, true)
}

// OfIntercept allows the flows of the intercept that a line was joined for.
func (j *LineJoined) OfIntercept(o *Open) bool {
	return o.Intercept == j.Intercept && o.InterceptUID == j.InterceptUID
}

// ServeLine serves the flows that come on a line, one after the other, until it
// breaks. It owns the connection. What is not allowed is denied.
func ServeLine(ctx context.Context, c *FlowConn, allowed func(*Open) bool, h Handler) {
	stop := context.AfterFunc(ctx, c.Reset)
	defer stop()
	ServeFlows(c, func(f Stream) {
		defer f.Close()
		open, err := ReadOpen(f)
		if err != nil {
			return
		}
		in := &lineFlow{stream: f}
		if allowed(open) {
			err = h(ctx, open, in)
		} else {
			err = ErrDenied
		}
		switch {
		case in.accepted && err != nil:
			f.Reset()
		case !in.accepted:
			in.refuse(err)
		}
	})
}

// ServeFlows gives the flows that travel on a connection, one after the other,
// to serve, which must close them. It returns when the connection is of no
// more use.
func ServeFlows(c *FlowConn, serve func(Stream)) {
	for next := Stream(c); next != nil; {
		now := next
		next = nil
		if f, ok := now.(*FlowConn); ok {
			f.OnIdle(func(s Stream) { next = s })
		}
		serve(now)
	}
}

// lineFlow is a flow on a line, as its acceptor sees it.
type lineFlow struct {
	stream   Stream
	accepted bool
}

var _ Incoming = (*lineFlow)(nil)

// Accept tells the agent that the target is reached.
func (f *lineFlow) Accept() error {
	f.accepted = true
	return WriteVerdict(f.stream, Accepted)
}

// Join moves bytes between the flow and s until both directions have ended.
func (f *lineFlow) Join(s Stream, count Count) error { return Pipe(f.stream, s, count) }

func (f *lineFlow) refuse(err error) {
	if writeAnswer(f.stream, verdictOf(err), reasonOf(err)) != nil {
		f.stream.Reset()
	} else if c, ok := f.stream.(*FlowConn); ok {
		c.Refused()
	}
}
