// Package buffer lends the memory that the bytes of all flows pass through.
package buffer

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"
)

// pool is a mem.BufferPool of a few sizes. It differs from gRPC's own in two
// ways that each were worth a fifth of the CPU time per byte: a buffer is not
// cleared before it is used again, since all of it is overwritten, and the
// garbage collector does not empty the pool, which in a process with a small
// heap it would do many times a second. What the pool keeps is bounded.
type pool struct {
	sizes []int
	free  []chan *[]byte
	gets  atomic.Uint64
}

var _ mem.BufferPool = (*pool)(nil)

// Pool is the pool of the process. Its buffers have the length that was asked
// for, and arbitrary content.
func Pool() mem.BufferPool { return shared() }

// keepBytes bounds what is kept of each size.
const keepBytes = 2 << 20

func newPool(sizes ...int) *pool {
	p := &pool{sizes: sizes, free: make([]chan *[]byte, len(sizes))}
	for i, size := range sizes {
		p.free[i] = make(chan *[]byte, min(keepBytes/size, 1024))
	}
	return p
}

// Get returns a buffer of the given length whose content is arbitrary.
func (p *pool) Get(length int) *[]byte {
	p.gets.Add(1)
	i, _ := slices.BinarySearch(p.sizes, length)
	size := length
	if i < len(p.sizes) {
		select {
		case b := <-p.free[i]:
			*b = (*b)[:length]
			return b
		default:
			size = p.sizes[i]
		}
	}
	b := make([]byte, length, size)
	return &b
}

// Put takes a buffer back that Get returned.
func (p *pool) Put(b *[]byte) {
	i, ok := slices.BinarySearch(p.sizes, cap(*b))
	if !ok {
		return
	}
	select {
	case p.free[i] <- b:
	default:
	}
}

// empty lets go of all that is kept.
func (p *pool) empty() {
	for _, free := range p.free {
		for drained := false; !drained; {
			select {
			case <-free:
			default:
				drained = true
			}
		}
	}
}

// ReleaseMemory gives what flows have used back to the system whenever none
// has moved a byte for a while, until ctx ends. Every process that serves flows
// runs it.
func ReleaseMemory(ctx context.Context) {
	const quiet = 5 * time.Second
	t := time.NewTicker(quiet)
	defer t.Stop()
	p := shared()
	var seen, released uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := p.gets.Load()
		if now == seen && now != released {
			p.empty()
			runtime.GC() // what sync.Pools hold survives one collection
			debug.FreeOSMemory()
			released = now
		}
		seen = now
	}
}
