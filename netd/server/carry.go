package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// offer is a device whose packets nobody carries yet. Its context ends with
// the network.
type offer struct {
	ctx     context.Context
	packets io.ReadWriteCloser
}

// offer lets a connection that says the token have the packets, until
// withdrawn. Then that connection is closed.
func (s *server) offer(packets io.ReadWriteCloser) (token string, withdraw func()) {
	ctx, end := context.WithCancel(context.Background())
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered[token] = offer{ctx, packets}
	return token, func() {
		end()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.offered, token)
	}
}

// carry lets a connection have the packets that it was offered, once. When it
// ends, the device does.
func (s *server) carry(conn *handover.Conn) error {
	s.mu.Lock()
	o, ok := s.offered[conn.Token()]
	delete(s.offered, conn.Token())
	s.mu.Unlock()
	if !ok {
		return errors.New("packets: of no network, or carried already")
	}
	p := conn.Packets()
	// A session that reads no packets must not keep its network.
	defer context.AfterFunc(o.ctx, func() { p.Close() })()
	if err := handover.Carry(p, o.packets); o.ctx.Err() == nil {
		s.Log.Warn("packets are not carried any more", "error", err)
	}
	return nil
}
