package daemon

import (
	"sync"
	"time"
)

// endReason is why a process ends.
type endReason string

const (
	endQuit     endReason = "asked to"
	endSignal   endReason = "by a signal"
	endReplaced endReason = "replaced by another process"
	endIdle     endReason = "no intercept needs it"
	endDeleted  endReason = "its Session object was deleted"
	endOther    endReason = "the credentials are those of another user, or of another cluster"
	endGone     endReason = "the cluster has not answered for long"
	endFailed   endReason = "it cannot connect"
)

// lifetime decides when a process ends. It is safe for concurrent use.
type lifetime struct {
	ending chan struct{} // closed when the end begins

	mu     sync.Mutex
	until  time.Time // until then the process does not end for lack of work
	reason endReason // "" until the end begins
}

func newLifetime() *lifetime { return &lifetime{ending: make(chan struct{})} }

// end makes the process end. Only the first reason counts.
func (l *lifetime) end(reason endReason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endFor(reason)
}

// endFor makes the process end, unless it is ending already. The caller holds l.mu.
func (l *lifetime) endFor(reason endReason) {
	if l.reason != "" {
		return
	}
	l.reason = reason
	close(l.ending)
}

// endIdle makes the process end for lack of work, unless hold keeps it.
func (l *lifetime) endIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) {
		l.endFor(endIdle)
	}
}

// hold keeps the process from ending for lack of work during d. It returns false if
// the process is ending already.
func (l *lifetime) hold(d time.Duration) bool {
	return l.unlessEnding(func() { l.until = time.Now().Add(d) })
}

// held says whether hold keeps the process now.
func (l *lifetime) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

// unlessEnding calls do, and the process does not begin to end during that call. If
// the process is ending already, it returns false and does not call do.
func (l *lifetime) unlessEnding(do func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason != "" {
		return false
	}
	do()
	return true
}

// why returns the reason why the process ends, or "" if it is not ending.
func (l *lifetime) why() endReason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}
