package relay

import (
	"context"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

// handshakeTimeout bounds a handshake.
const handshakeTimeout = 10 * time.Second

// carry accepts a carrier.
func (r *Relay) carry(conn *net.TCPConn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	secure, publicKey, err := handshake.AcceptCarrier(ctx, conn, r.cfg.Certificate)
	if err != nil {
		r.cfg.Log.Debug("carrier refused", "peer", conn.RemoteAddr(), "reason", err)
		return
	}
	hello, err := handshake.ReadHello(secure)
	if err != nil {
		handshake.WriteWelcome(secure, &handshake.Welcome{Refusal: err.Error(), Version: r.cfg.Version})
		return
	}
	log := r.cfg.Log.With("session", hello.Session, "direction", hello.Direction.String())
	s, err := r.admit(hello, publicKey)
	if err != nil {
		log.Info("carrier refused", "reason", err)
		handshake.WriteWelcome(secure, &handshake.Welcome{Refusal: err.Error(), Version: r.cfg.Version, Pod: r.cfg.Pod})
		return
	}
	defer r.removeCarrier(s)
	if err := handshake.WriteWelcome(secure, &handshake.Welcome{Pod: r.cfg.Pod, Version: r.cfg.Version, Domain: r.cfg.Domain}); err != nil {
		return
	}
	conn.SetDeadline(time.Time{})
	log.Info("carrier up", "version", hello.Version, "protocol", hello.Protocol)
	if hello.Direction == handshake.Outbound {
		err = mux.Serve(s.ctx, secure, s.budget, r.outbound(s))
	} else {
		err = s.group.Add(s.ctx, secure, nil)
	}
	log.Info("carrier down", "reason", err)
}

// admit counts a carrier of the Session that the Hello names, and whose public key the
// caller has proved to own.
func (r *Relay) admit(h *handshake.Hello, publicKey string) (*session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	drops := r.drops.Load()
	object, err := r.authenticate(ctx, h, publicKey)
	if err != nil {
		return nil, err
	}
	s, err := r.addCarrier(h, publicKey, authz.Subject{User: object.Spec.User, Groups: object.Spec.Groups})
	if err != nil || r.drops.Load() == drops {
		return s, err
	}
	// This Session may be what Drop had found no carrier of.
	if _, err := r.authenticate(ctx, h, publicKey); err != nil {
		r.removeCarrier(s)
		return nil, err
	}
	return s, nil
}
