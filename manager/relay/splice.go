package relay

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
)

// splice moves bytes between two TCP connections until one of them ends or breaks, and
// closes both. A half-close ends them, too, since the flows on a line end their
// directions in band. ABroke says that a was the first to end, by a reset. Count
// is told how many bytes have passed: in came from b, out went to it.
func splice(a, b *net.TCPConn, count tunnel.Count) (aBroke bool) {
	var over atomic.Bool
	var wg sync.WaitGroup
	from, to := tunnel.NewTCP(a), tunnel.NewTCP(b)
	move := func(dst, src tunnel.Stream, count func(int)) {
		err := tunnel.Splice(dst, src, count)
		if !over.Swap(true) && err != nil {
			aBroke = src == from
			tunnel.TCP(dst).SetLinger(0)
		}
		a.Close()
		b.Close()
	}
	wg.Go(func() { move(to, from, func(n int) { count(0, n) }) })
	move(from, to, func(n int) { count(n, 0) })
	wg.Wait()
	return aBroke
}
