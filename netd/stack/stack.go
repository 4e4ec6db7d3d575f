package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Config is what a Stack needs.
type Config struct {
	// File is the TUN; on darwin a utun. New takes it over and closes it when
	// it fails.
	File *os.File
	// Offload says that File was opened with IFF_VNET_HDR (header of 10
	// bytes) and TUNSETOFFLOAD for CSUM, TSO4 and TSO6, no others.
	Offload bool
	// MTU of the TUN in bytes; 0 is 1500.
	MTU     int
	Handler Handler
	Log     *slog.Logger // nil is silence

	// Device takes the place of File where there is no descriptor: one
	// packet per Read and Write, without offload. Its Close ends a Read.
	Device io.ReadWriteCloser
}

// nic is the only interface of the stack.
const nic tcpip.NICID = 1

// Stack is the network behind one TUN.
type Stack struct {
	log     *slog.Logger
	handler Handler
	net     *stack.Stack
	link    *link
	icmp    *icmpWriter

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	once   sync.Once
	done   chan struct{}

	mu      sync.Mutex // of closing, and of asking growing
	closing bool
	asking  sync.WaitGroup // connections that have no answer yet

	flows atomic.Int64 // of UDP
	pings chan struct{}
}

// New serves the TUN until Close.
func New(cfg Config) (*Stack, error) {
	w, err := newWire(cfg)
	if err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	s, err := newStack(cfg, w)
	if err != nil {
		w.stop()
		w.close()
		return nil, fmt.Errorf("stack: %w", err)
	}
	s.link.start()
	return s, nil
}

func newStack(cfg Config, w wire) (*Stack, error) {
	if cfg.Handler == nil {
		return nil, errors.New("no handler")
	}
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	if cfg.MTU < header.IPv6MinimumMTU || cfg.MTU > maxPacket {
		return nil, fmt.Errorf("MTU %d is not between %d and %d", cfg.MTU, header.IPv6MinimumMTU, maxPacket)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stack{
		log: cfg.Log, handler: cfg.Handler,
		done: make(chan struct{}), pings: make(chan struct{}, maxPings),
		net: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
		}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.link = newLink(w, cfg.MTU, cfg.Offload && cfg.Device == nil)
	s.link.echo = s.echo()
	s.icmp = &icmpWriter{mtu: cfg.MTU, send: s.link.writeRaw}
	s.link.gone = func(err error) {
		s.log.Warn("network device is gone", "err", err)
		go s.Close()
	}
	if err := s.setUp(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// setUp makes a stack that accepts every address.
func (s *Stack) setUp() error {
	if err := tune(s.net); err != nil {
		return err
	}
	s.net.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s.net, firstBuffer, maxDials, s.tcp).HandlePacket)
	s.net.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s.net, s.udp).HandlePacket)
	if err := s.net.CreateNIC(nic, s.link); err != nil {
		return errors.New(err.String())
	}
	if err := s.net.SetPromiscuousMode(nic, true); err != nil {
		return errors.New(err.String())
	}
	if err := s.net.SetSpoofing(nic, true); err != nil {
		return errors.New(err.String())
	}
	s.net.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	return nil
}

// Close resets what is open, closes the TUN's descriptor and returns when
// nothing of the Stack runs any more, handlers excepted: their contexts end.
func (s *Stack) Close() error {
	s.once.Do(func() {
		s.cancel()
		s.answered()
		s.net.Close() // resets go out
		s.link.shut()
		s.net.Wait()
		close(s.done)
	})
	<-s.done
	return nil
}

// lastAnswers is how long Close waits for connections that begin.
const lastAnswers = time.Second

// answered waits until each connection that begins is refused, or is one that
// can be reset: for its program it is open as soon as the SYN-ACK is there, and
// gVisor drops those whose ACK it has not seen without a word.
func (s *Stack) answered() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	all := make(chan struct{})
	go func() {
		s.asking.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(lastAnswers):
	}
}

// ask counts a connection that has no answer yet, unless the Stack is closing.
func (s *Stack) ask() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.asking.Add(1)
	}
	return !s.closing
}

// Done is closed when the Stack has ended: by Close, or because the TUN is
// gone.
func (s *Stack) Done() <-chan struct{} { return s.done }

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(ip, port)
}

func fullAddress(a netip.AddrPort) (tcpip.FullAddress, tcpip.NetworkProtocolNumber) {
	proto := header.IPv4ProtocolNumber
	if a.Addr().Is6() {
		proto = header.IPv6ProtocolNumber
	}
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}, proto
}
