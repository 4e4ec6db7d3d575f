package stack

import (
	"io"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// UDPFlow is the datagrams between one pair of addresses. It is a net.Conn:
// each Read and Write is one datagram, up to 65,507 bytes (65,527 with IPv6);
// of one larger than the buffer the rest is lost. Use SetReadDeadline for the
// idle time-out.
type UDPFlow struct {
	From, To netip.AddrPort

	endpoint
	stack *Stack
}

func (s *Stack) udp(req *udp.ForwarderRequest) bool {
	id := req.ID()
	from, to := addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)
	if !reachable(to.Addr()) || s.ctx.Err() != nil {
		return true
	}
	if s.flows.Add(1) > maxFlows {
		s.flows.Add(-1)
		return true
	}
	wq := new(waiter.Queue)
	ep, err := req.CreateEndpoint(wq)
	if err != nil {
		s.flows.Add(-1)
		s.log.Debug("datagram lost", "from", from, "to", to, "err", err.String())
		return true
	}
	f := &UDPFlow{From: from, To: to, stack: s}
	f.init(ep, wq)
	go s.handler.UDP(s.ctx, f)
	return true
}

func (f *UDPFlow) Read(b []byte) (int, error) {
	n, terr, err := f.read(b)
	if terr != nil {
		err = sysError(terr)
	}
	if err == io.EOF {
		err = errClosed
	}
	return n, f.wrap("read", err)
}

func (f *UDPFlow) Write(b []byte) (int, error) {
	f.wr.mu.Lock()
	defer f.wr.mu.Unlock()
	defer f.out.Reset(nil)
	f.out.Reset(b)
	n, terr, err := f.write(&f.out)
	if terr != nil {
		err = sysError(terr)
	}
	return n, f.wrap("write", err)
}

// Close ends the flow. The next datagram of the program begins a new one.
func (f *UDPFlow) Close() error {
	if !f.closed.Swap(true) {
		f.ep.Close()
		f.wake()
		f.stack.flows.Add(-1)
	}
	return nil
}

// Refuse tells the program that nothing listens (ICMP port unreachable) and
// closes the flow.
func (f *UDPFlow) Refuse() {
	if !f.closed.Load() {
		f.Close()
		f.stack.icmp.unreachable(f.From, f.To, 0)
	}
}

func (f *UDPFlow) LocalAddr() net.Addr  { return net.UDPAddrFromAddrPort(f.To) }
func (f *UDPFlow) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(f.From) }

func (f *UDPFlow) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "udp", Source: f.RemoteAddr(), Addr: f.LocalAddr(), Err: err}
}
