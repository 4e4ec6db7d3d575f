package daemon

import (
	"sync"
	"time"
)

// endReason is why a process ends.
type endReason string

const (
	endQuit     endReason = "a command asked it to end"
	endSignal   endReason = "a signal ended it"
	endReplaced endReason = "replaced by another process"
	endIdle     endReason = "no intercept needs it"
	endDeleted  endReason = "its Session object was deleted"
	endOther    endReason = "the credentials are those of another user, or of another cluster"
	endGone     endReason = "the cluster has not answered for long"
	endFailed   endReason = "it cannot connect"
)

// lifetime decides when a process ends. It is safe for concurrent use.
type lifetime struct {
	ending chan struct{} // closed when the process begins to end

	mu     sync.Mutex
	until  time.Time // an unused process does not end before this time
	holder string    // the command that holds it until then; "" if the command has not said its name
	done   bool      // the holder needs the process no more
	reason endReason // "" until the process begins to end
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

// endIdle makes the process end because it is unused, unless a command holds it.
func (l *lifetime) endIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) {
		l.endFor(endIdle)
	}
}

// hold keeps an unused process alive for the duration d, for a command, whose name may be "".
// It returns false if the process is ending already.
func (l *lifetime) hold(d time.Duration, command string) bool {
	return l.unlessEnding(func() { l.until, l.holder, l.done = time.Now().Add(d), command, false })
}

// release says that a command does not need the process any more.
func (l *lifetime) release(command string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == command {
		l.until, l.done = time.Now(), true
	}
}

// held says that a command still holds the process.
func (l *lifetime) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

// released says that the last command that asked for the process needs it no more.
func (l *lifetime) released() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// unlessEnding calls do; the process cannot begin to end during the call. If the process is
// ending already, unlessEnding returns false and does not call do.
func (l *lifetime) unlessEnding(do func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason != "" {
		return false
	}
	do()
	return true
}

// why returns the reason for the end, or "" until the process begins to end.
func (l *lifetime) why() endReason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}
