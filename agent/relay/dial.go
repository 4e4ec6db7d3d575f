package relay

import (
	"context"
	"crypto/tls"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// Identity is how the agent and the traffic-manager know each other.
type Identity interface {
	// TLS is the configuration for a connection that speaks the protocol alpn.
	TLS(alpn string) *tls.Config
}

// upstream is what a pooled connection leads to: a relay or, by a line through
// the relay, a session.
type upstream struct {
	relay string
	// line is zero for a connection on which the relay takes flows of any
	// session.
	line handshake.LineRequest
}

// session is the breaker's key.
func (u upstream) session() string { return u.relay + " " + u.line.Session }

// dial makes one connection, ready for an Open frame.
type dial func(context.Context, upstream) (tunnel.Stream, error)

// dialer dials as this identity.
func dialer(id Identity) dial {
	return func(ctx context.Context, u upstream) (tunnel.Stream, error) {
		var c *line.Conn
		var err error
		if u.line.Session == "" {
			c, err = line.DialRelay(ctx, u.relay, id.TLS(handshake.ALPNFlow))
		} else {
			c, err = line.Dial(ctx, u.relay, id.TLS(handshake.ALPNLine), &u.line)
		}
		if err != nil {
			return nil, err // not a nil *line.Conn in an interface
		}
		return c, nil
	}
}
