package stack

import (
	"context"
)

// Handler decides about what programs ask of the network. Every call runs in
// a goroutine of its own and may take as long as it needs; ctx ends when the
// Stack closes.
type Handler interface {
	// TCP hears of a program that connects. It calls one of Accept, Refuse
	// and Drop; returning without is Refuse. The program waits meanwhile.
	TCP(ctx context.Context, r *TCPRequest)
	// UDP hears of the first datagram of a flow, that is of one pair of
	// addresses. The flow lasts until the handler closes it, which it does
	// when the flow was idle for long enough; returning does not close it.
	UDP(ctx context.Context, f *UDPFlow)
	// Ping hears of every echo request. Not to call Reply is no answer.
	Ping(ctx context.Context, e *Echo)
}
