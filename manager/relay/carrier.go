package relay

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/identity"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

// handshakeTimeout bounds a handshake.
const handshakeTimeout = 10 * time.Second

// carry accepts a carrier.
func (r *Relay) carry(conn *net.TCPConn, visit *budget.Visit) {
	defer visit.Known()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	secure, publicKey, err := handshake.AcceptCarrier(ctx, conn, r.cfg.Certificate)
	if err != nil {
		r.cfg.Log.Debug("carrier refused", "peer", conn.RemoteAddr(), "reason", err)
		return
	}
	r.serveCarrier(secure, publicKey, visit, transportOf(conn))
}

// serveCarrier serves a carrier of a session that has proved to hold the private key of a
// public key. The caller closes the connection.
func (r *Relay) serveCarrier(secure net.Conn, publicKey string, visit *budget.Visit, transport string) {
	hello, err := handshake.ReadHello(secure)
	if err != nil {
		handshake.WriteWelcome(secure, &handshake.Welcome{Refusal: err.Error(), Version: r.cfg.Version})
		return
	}
	log := r.cfg.Log.With("session", hello.Session, "direction", hello.Direction.String())
	began := time.Now()
	s, err := r.admit(hello, publicKey, budget.AddressOf(secure.RemoteAddr()))
	if err != nil {
		log.Info("carrier refused", "reason", err)
		var unconfirmed *identity.UnconfirmedError
		handshake.WriteWelcome(secure, &handshake.Welcome{Refusal: err.Error(), Version: r.cfg.Version, Pod: r.cfg.Pod,
			Renew: errors.As(err, &unconfirmed) && unconfirmed.Renewable()})
		return
	}
	defer r.removeCarrier(s)
	visit.Known()
	took := time.Since(began)
	if err := handshake.WriteWelcome(secure, &handshake.Welcome{Pod: r.cfg.Pod, Version: r.cfg.Version, Domain: r.cfg.Domain, Took: took}); err != nil {
		return
	}
	secure.SetDeadline(time.Time{})
	defer s.traffic.carrier(hello.Direction, transport)()
	log.Info("carrier up", "user", s.user(), "transport", transport, "version", hello.Version, "protocol", hello.Protocol, "took", took)
	if hello.Direction == handshake.Outbound {
		err = mux.ServeBounded(s.ctx, secure, s.windows, func() (func(), error) { return r.flowOf(s) }, r.outbound(s, wayCarrier))
	} else {
		err = s.group.Add(s.ctx, secure, nil)
	}
	log.Info("carrier down", "reason", err)
}
