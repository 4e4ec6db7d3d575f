//go:build linux

package fusefs

import (
	"sync"
	"syscall"
)

// writes are those on their way to the pod, of all handles of a file. Programs do not wait for
// each; an error comes to the next write, fsync or close.
type writes struct {
	mu     sync.Mutex
	done   sync.Cond // something has arrived
	under  []span
	bytes  int
	failed syscall.Errno
}

type span struct{ from, to int64 }

// maxUnderWay is how many bytes of a file may be on their way.
const maxUnderWay = 16 << 20

// begin waits until a write may go: there is room, and no other is on its way to the same
// place, which could arrive later.
func (w *writes) begin(s span) syscall.Errno {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done.L = &w.mu
	for w.failed == 0 && (w.bytes > maxUnderWay || w.overlaps(s)) {
		w.done.Wait()
	}
	if e := w.failed; e != 0 {
		w.failed = 0
		return e
	}
	w.under = append(w.under, s)
	w.bytes += int(s.to - s.from)
	return 0
}

func (w *writes) overlaps(s span) bool {
	for _, u := range w.under {
		if u.from < s.to && s.from < u.to {
			return true
		}
	}
	return false
}

// end says that a write has arrived, or that it failed.
func (w *writes) end(s span, e syscall.Errno) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, u := range w.under {
		if u == s {
			w.under[i] = w.under[len(w.under)-1]
			w.under = w.under[:len(w.under)-1]
			break
		}
	}
	w.bytes -= int(s.to - s.from)
	if e != 0 {
		w.failed = e
	}
	w.done.Broadcast()
}

func (w *writes) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.under) > 0
}

// wait waits until all have arrived, so that the pod can be asked. An error stays for whoever
// has written.
func (w *writes) wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done.L = &w.mu
	for len(w.under) > 0 {
		w.done.Wait()
	}
}

// flush waits until all have arrived, and returns what went wrong, once.
func (w *writes) flush() syscall.Errno {
	w.wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.failed
	w.failed = 0
	return e
}
