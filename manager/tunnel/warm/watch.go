package warm

import (
	"errors"
	"os"
	"slices"
	"time"
)

// watch waits until w is taken, closed by the peer or too old. In the last two cases
// it removes w from the pool.
func (p *Pool) watch(w *conn) {
	// Take may set its own deadline at any time, before or after this one. Both
	// deadlines wake the read; whether w is still in the list says which it was.
	p.mu.Lock()
	if slices.Contains(p.idle, w) {
		w.stream.SetReadDeadline(w.since.Add(warmAge))
	}
	p.mu.Unlock()
	var b [1]byte
	n, err := w.stream.Read(b[:])
	if n > 0 {
		err = errors.New("the peer sent something before an Open")
	}
	p.mu.Lock()
	i := slices.Index(p.idle, w)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.want = max(p.want-1, Min) // it was not needed
			p.refill()
		} else if !p.failed {
			// The peer closed it, and may be shutting down: pause before the next dial.
			p.failed = true
			p.wg.Go(p.pause)
		}
	}
	p.mu.Unlock()
	w.done <- err
	if i >= 0 {
		w.stream.Close()
	}
}

// Close drops the idle connections and waits for the background work.
func (p *Pool) Close() {
	p.mu.Lock()
	p.stop()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		w.stream.SetReadDeadline(time.Unix(1, 0))
		<-w.done
		w.stream.Close()
	}
	p.wg.Wait()
}
