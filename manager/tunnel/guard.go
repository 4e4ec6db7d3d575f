package tunnel

import (
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
)

// guardEvery is how often a guard looks while a write waits.
const guardEvery = 5 * time.Second

// guard watches the source of bytes while a write of them waits. Nobody reads the source
// then, so nobody else learns that its peer has reset it. The guard passes the reset on,
// which ends the write. It watches TCP connections only, since other Streams learn of a
// reset by themselves.
type guard struct {
	dst Stream
	src *net.TCPConn // nil for none to watch

	mu      sync.Mutex
	writing bool
	reset   bool // src was, and so is dst
	timer   *time.Timer
}

func newGuard(dst, src Stream) *guard { return &guard{dst: dst, src: TCP(src)} }

// begin is called before a write to dst.
func (g *guard) begin() {
	if g.src == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writing = true
	if g.timer == nil {
		g.timer = time.AfterFunc(guardEvery, g.look)
		return
	}
	g.timer.Reset(guardEvery)
}

// end is called after the write. It returns an error if the guard has ended the write.
func (g *guard) end() error {
	if g.src == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writing = false
	g.timer.Stop()
	if g.reset {
		return syscall.ECONNRESET
	}
	return nil
}

func (g *guard) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.writing: // the write has ended just now
	case socket.WasReset(g.src):
		g.reset = true
		g.dst.Reset()
	default:
		g.timer.Reset(guardEvery)
	}
}
