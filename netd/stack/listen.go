package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const backlog = 512

// Listen accepts connections to an address behind the TUN instead of the
// Handler. Its connections are *Conn.
func (s *Stack) Listen(addr netip.AddrPort) (net.Listener, error) {
	full, proto := fullAddress(addr)
	wq := new(waiter.Queue)
	ep, err := s.net.NewEndpoint(tcp.ProtocolNumber, proto, wq)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %s", addr, err)
	}
	if err = ep.Bind(full); err == nil {
		err = ep.Listen(backlog)
	}
	if err != nil {
		ep.Close()
		return nil, fmt.Errorf("listen at %s: %s", addr, err)
	}
	l := &listener{addr: addr, ep: ep, wq: wq, done: make(chan struct{}), ended: s.ctx.Done()}
	l.entry, l.ready = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	wq.EventRegister(&l.entry)
	return l, nil
}

// ListenPacket receives datagrams to an address behind the TUN instead of the
// Handler. Addresses are *net.UDPAddr.
func (s *Stack) ListenPacket(addr netip.AddrPort) (net.PacketConn, error) {
	full, proto := fullAddress(addr)
	c, err := gonet.DialUDP(s.net, &full, nil, proto)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", addr, err)
	}
	return c, nil
}

type listener struct {
	addr  netip.AddrPort
	ep    tcpip.Endpoint
	wq    *waiter.Queue
	entry waiter.Entry
	ready chan struct{}
	ended <-chan struct{} // the Stack's
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		var from tcpip.FullAddress
		ep, wq, err := l.ep.Accept(&from)
		switch err.(type) {
		case nil:
			return newConn(ep, wq, addrPort(from.Addr, from.Port), l.addr), nil
		case *tcpip.ErrWouldBlock:
		default:
			select {
			case <-l.done:
				return nil, l.wrap(errClosed)
			case <-l.ended:
				return nil, l.wrap(errClosed)
			default:
				return nil, l.wrap(errors.New(err.String()))
			}
		}
		select {
		case <-l.ready:
		case <-l.done:
			return nil, l.wrap(errClosed)
		case <-l.ended:
			return nil, l.wrap(errClosed)
		}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.ep.Close()
	})
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

func (l *listener) wrap(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
}
