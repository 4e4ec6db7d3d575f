package relay

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// splice moves bytes between two TCP connections until one of them ends or breaks, and
// closes both. A half-close ends them, too, since the flows on a line end their
// directions in band. ABroke says that a was the first to end, by a reset.
func splice(a, b *net.TCPConn) (aBroke bool) {
	var over atomic.Bool
	var wg sync.WaitGroup
	from, to := tunnel.NewTCP(a), tunnel.NewTCP(b)
	move := func(dst, src tunnel.Stream) {
		err := tunnel.Splice(dst, src, func(int) {})
		if !over.Swap(true) && err != nil {
			aBroke = src == from
			tunnel.TCP(dst).SetLinger(0)
		}
		a.Close()
		b.Close()
	}
	wg.Go(func() { move(to, from) })
	move(from, to)
	wg.Wait()
	return aBroke
}
