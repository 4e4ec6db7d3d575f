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
	until  time.Time // before that the process does not end for want of work
	reason endReason // "" until the end begins
}

func newLifetime() *lifetime { return &lifetime{ending: make(chan struct{})} }

// end begins the end. The first reason counts.
func (l *lifetime) end(reason endReason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endFor(reason)
}

// endFor begins the end, unless it has begun; l.mu is held.
func (l *lifetime) endFor(reason endReason) {
	if l.reason != "" {
		return
	}
	l.reason = reason
	close(l.ending)
}

// endIdle begins the end for want of work, unless a command has just come.
func (l *lifetime) endIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) {
		l.endFor(endIdle)
	}
}

// hold keeps the process for a while. It is false when the end has begun.
func (l *lifetime) hold(d time.Duration) bool {
	return l.unlessEnding(func() { l.until = time.Now().Add(d) })
}

// held says that a command has just come.
func (l *lifetime) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

// unlessEnding calls do, during which the end does not begin. It returns false instead if
// the end has begun.
func (l *lifetime) unlessEnding(do func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason != "" {
		return false
	}
	do()
	return true
}

// why is the reason, "" until the end begins.
func (l *lifetime) why() endReason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}
