package stack

import (
	"errors"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// TCPRequest is a connection that a program opens.
type TCPRequest struct {
	From, To netip.AddrPort

	req     *tcp.ForwarderRequest
	stack   *Stack
	decided bool
}

var errDecided = errors.New("connection request was answered before")

func (s *Stack) tcp(req *tcp.ForwarderRequest) {
	if !s.ask() {
		req.Complete(true)
		return
	}
	id := req.ID()
	r := &TCPRequest{
		From: addrPort(id.RemoteAddress, id.RemotePort),
		To:   addrPort(id.LocalAddress, id.LocalPort),
		req:  req, stack: s,
	}
	defer r.Refuse()
	if !reachable(r.To.Addr()) {
		r.Drop()
		return
	}
	s.handler.TCP(s.ctx, r)
}

// reachable says whether an address is one host's.
func reachable(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// Accept answers the SYN and waits for the program's ACK. It fails when the
// program gave up meanwhile.
func (r *TCPRequest) Accept() (*Conn, error) {
	if r.decided {
		return nil, errDecided
	}
	r.decided = true
	defer r.stack.asking.Done()
	wq := new(waiter.Queue)
	ep, err := r.req.CreateEndpoint(wq)
	if err != nil {
		r.req.Complete(true)
		return nil, sysError(err)
	}
	r.req.Complete(false)
	return newConn(ep, wq, r.From, r.To), nil
}

// Refuse answers with a reset: "connection refused".
func (r *TCPRequest) Refuse() { r.complete(true) }

// Drop does not answer: the program asks again until its time is out.
func (r *TCPRequest) Drop() { r.complete(false) }

func (r *TCPRequest) complete(reset bool) {
	if !r.decided {
		r.decided = true
		r.req.Complete(reset)
		r.stack.asking.Done()
	}
}
