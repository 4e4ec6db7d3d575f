package nameserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// idleTimeout ends a connection without queries (RFC 7766 6.2.3).
	idleTimeout = 30 * time.Second
	maxConns    = 256
	// maxErrors in a row end reading datagrams.
	maxErrors = 100
)

// addrPortConn saves an allocation for every datagram; *net.UDPConn is one.
type addrPortConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, a netip.AddrPort) (int, error)
}

// Serve answers on both until ctx ends, then returns nil. It closes both; either
// may be nil.
func (s *Server) Serve(parent context.Context, packets net.PacketConn, l net.Listener) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	var all sync.WaitGroup
	if packets != nil {
		s.know(packets.LocalAddr())
		all.Go(func() { stop(s.datagrams(ctx, packets)) })
		defer context.AfterFunc(ctx, func() { packets.Close() })()
	}
	if l != nil {
		s.know(l.Addr())
		all.Go(func() { stop(s.connections(ctx, l)) })
		defer context.AfterFunc(ctx, func() { l.Close() })()
	}
	<-ctx.Done()
	if packets != nil {
		packets.Close()
	}
	if l != nil {
		l.Close()
	}
	all.Wait()
	if parent.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve names: %w", context.Cause(ctx))
}

// know remembers an own address, so that it is not asked as a resolver.
func (s *Server) know(a net.Addr) {
	if a == nil {
		return
	}
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.self[netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())] = true
	}
}

// itself says that an address is this Server's.
func (s *Server) itself(a netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.self[netip.AddrPortFrom(a.Addr().Unmap(), a.Port())]
}

// asker is the sender of a datagram.
type asker struct {
	conn net.PacketConn
	addr net.Addr
	fast addrPortConn // if conn is one; then port is the address
	port netip.AddrPort
}

// receive reads a datagram and its sender's address.
func (a *asker) receive(b []byte) (n int, err error) {
	if a.fast != nil {
		n, a.port, err = a.fast.ReadFromUDPAddrPort(b)
	} else {
		n, a.addr, err = a.conn.ReadFrom(b)
	}
	return n, err
}

func (a asker) send(b []byte) (err error) {
	if a.fast != nil {
		_, err = a.fast.WriteToUDPAddrPort(b, a.port)
	} else {
		_, err = a.conn.WriteTo(b, a.addr)
	}
	return err
}

// datagrams answers datagrams. Where the answer is known, it does so without a
// goroutine.
func (s *Server) datagrams(ctx context.Context, c net.PacketConn) error {
	var pending sync.WaitGroup
	defer pending.Wait()
	from := asker{conn: c}
	from.fast, _ = c.(addrPortConn)
	in, out := make([]byte, dns.MaxMsgSize), make([]byte, 0, dns.MaxMsgSize)
	for failed := 0; ; {
		n, err := from.receive(in)
		if err != nil {
			// On Windows, reading fails when an earlier answer did not arrive.
			if failed++; ctx.Err() != nil || errors.Is(err, net.ErrClosed) || failed > maxErrors {
				return err
			}
			continue
		}
		failed = 0
		b, done := s.fast(out, in[:n], 0)
		if !done {
			s.later(ctx, &pending, from, append([]byte(nil), in[:n]...))
		} else if len(b) > 0 {
			s.logUnsent(ctx, from.send(b))
		}
	}
}

// later answers a datagram once there is an answer.
func (s *Server) later(ctx context.Context, pending *sync.WaitGroup, from asker, packet []byte) {
	pending.Go(func() { s.logUnsent(ctx, from.send(s.slow(ctx, packet, 0))) })
}

func (s *Server) logUnsent(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.log.Debug("answer not sent", "error", err)
	}
}

// connections answers the queries on each connection in their order.
func (s *Server) connections(ctx context.Context, l net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, maxConns)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		select {
		case room <- struct{}{}:
		default:
			c.Close()
			continue
		}
		all.Go(func() {
			defer func() { <-room }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if err := s.connection(ctx, c); !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.log.Debug("connection ends", "error", err)
			}
		})
	}
}

// connection answers until the connection ends, and returns the reason.
func (s *Server) connection(ctx context.Context, c net.Conn) error {
	for {
		if err := c.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		packet := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(c, packet); err != nil {
			return err
		}
		b := s.answer(ctx, packet, dns.MaxMsgSize)
		if b == nil {
			return errors.New("not a query")
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b))), b...)); err != nil {
			return err
		}
	}
}
