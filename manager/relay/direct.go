package relay

import (
	"context"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/direct"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// ServeDirect accepts a carrier or a line of a session that dials the traffic-manager itself,
// and not by the API server. It owns the connection. Nobody on the way has found out who
// comes, so there is no byte but the handshake before session and relay have proved to each
// other who they are. On a line, the TLS between them ends when an agent has it: agent and
// session speak TLS of their own on the same connection, and nothing is encrypted twice.
func (r *Relay) ServeDirect(c net.Conn, visit *budget.Visit) {
	defer visit.Known()
	conn, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return
	}
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	secure, publicKey, err := handshake.Accept(ctx, conn, r.cfg.Certificate, handshake.ALPNCarrier, handshake.ALPNOffer)
	if err != nil {
		r.cfg.Log.Debug("direct connection refused", "peer", conn.RemoteAddr(), "reason", err)
		conn.Close()
		return
	}
	if err := direct.Notice(conn); err != nil {
		r.cfg.Log.Debug("a dead direct connection will be noticed late", "peer", conn.RemoteAddr(), "error", err)
	}
	switch secure.ConnectionState().NegotiatedProtocol {
	case handshake.ALPNCarrier:
		defer conn.Close()
		r.serveCarrier(record.NewCarrier(secure, secure), publicKey, visit, directly)
	case handshake.ALPNOffer:
		pin := handshake.PinOf(secure.ConnectionState().PeerCertificates[0])
		r.welcome(offer{conn, secure}, func(s *session) bool { return s.lines.pin == pin })
	default: // it has named none
		conn.Close()
	}
}
