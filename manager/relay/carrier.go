package relay

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// handshakeTimeout bounds a handshake.
const handshakeTimeout = 10 * time.Second

// ServeHTTP accepts a carrier: an HTTP Upgrade that comes through the API server's
// proxy or a port-forward. The session authenticates itself in the Hello, not in the
// request.
func (r *Relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Upgrade") != handshake.UpgradeProtocol {
		w.Header().Set("Upgrade", handshake.UpgradeProtocol)
		http.Error(w, "this path speaks "+handshake.UpgradeProtocol+" only", http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if buffered.Reader.Buffered() > 0 {
		conn.Close() // the client must not send anything before the 101
		return
	}
	if t, ok := conn.(*tls.Conn); ok {
		conn = record.NewCarrier(t, t)
	}
	go r.serveCarrier(conn)
}

func (r *Relay) serveCarrier(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+handshake.UpgradeProtocol+"\r\n\r\n")
	if err != nil {
		return
	}
	hello, err := handshake.ReadHello(conn)
	if err != nil {
		handshake.WriteWelcome(conn, &handshake.Welcome{Refusal: err.Error(), Version: r.cfg.Version})
		return
	}
	log := r.cfg.Log.With("session", hello.Session, "direction", hello.Direction.String())
	s, err := r.admit(hello)
	if err != nil {
		log.Info("carrier refused", "reason", err)
		handshake.WriteWelcome(conn, &handshake.Welcome{Refusal: err.Error(), Version: r.cfg.Version, Pod: r.cfg.Pod})
		return
	}
	defer r.removeCarrier(s)
	if err := handshake.WriteWelcome(conn, &handshake.Welcome{Pod: r.cfg.Pod, Version: r.cfg.Version, Domain: r.cfg.Domain}); err != nil {
		return
	}
	conn.SetDeadline(time.Time{})
	log.Info("carrier up", "version", hello.Version, "protocol", hello.Protocol)
	if hello.Direction == handshake.Outbound {
		err = mux.Serve(s.ctx, conn, s.budget, r.outbound(s))
	} else {
		err = s.group.Add(s.ctx, conn, nil)
	}
	log.Info("carrier down", "reason", err)
}

// admit counts a carrier of the Session that the Hello proves to be the caller's.
func (r *Relay) admit(h *handshake.Hello) (*session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	drops := r.drops.Load()
	object, err := r.authenticate(ctx, h)
	if err != nil {
		return nil, err
	}
	s, err := r.addCarrier(h, authz.Subject{User: object.Spec.User, Groups: object.Spec.Groups})
	if err != nil || r.drops.Load() == drops {
		return s, err
	}
	// This Session may be what Drop had found no carrier of.
	if _, err := r.authenticate(ctx, h); err != nil {
		r.removeCarrier(s)
		return nil, err
	}
	return s, nil
}
