package carrier

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// attemptTimeout is how long a transport may take while there is another.
	attemptTimeout = 8 * time.Second
	// lastTimeout is how long the last one may take.
	lastTimeout = 30 * time.Second
	// ForgetAfter is for how long a transport that was not possible comes last.
	ForgetAfter = time.Hour
)

// Dialer tries transports in order, and remembers which of them were not possible
// where a later one was. It is safe for concurrent use.
type Dialer struct {
	transports []Transport
	now        func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // until when a transport comes last
	good map[string]bool      // transports that have worked
}

// NewDialer tries transports, the best first.
func NewDialer(transports ...Transport) *Dialer {
	return &Dialer{transports: transports, now: time.Now, last: map[string]time.Time{}, good: map[string]bool{}}
}

// Prefer lets Dial begin with the transport called name, until the given time: an
// earlier process found that it works.
func (l *Dialer) Prefer(name string, until time.Time) {
	if !slices.ContainsFunc(l.transports, func(t Transport) bool { return t.Name() == name }) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.transports {
		if t.Name() == name {
			return
		}
		l.last[t.Name()] = until
	}
}

func (l *Dialer) order() []Transport {
	l.mu.Lock()
	defer l.mu.Unlock()
	var first, last []Transport
	for _, t := range l.transports {
		if l.now().Before(l.last[t.Name()]) {
			last = append(last, t)
		} else {
			first = append(first, t)
		}
	}
	return append(first, last...)
}

// Dial returns a connection and the name of its transport. It goes on to the next
// transport only after a NotPossibleError, a BetweenError or a timeout. If a transport
// ended with a BetweenError, or timed out although it had worked before, Dial tries it
// once more when a later one works: the network was away, and is back.
func (l *Dialer) Dial(ctx context.Context) (net.Conn, string, error) {
	var failed []string
	var late Transport
	var errs []error
	order := l.order()
	for i, t := range order {
		timeout := attemptTimeout
		if i == len(order)-1 {
			timeout = lastTimeout
		}
		attempt, cancel := context.WithTimeout(ctx, timeout)
		conn, err := t.Dial(attempt)
		slow := attempt.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil {
			if better, err := l.again(ctx, late); err == nil {
				conn.Close()
				return better, late.Name(), nil
			}
			l.works(t.Name(), failed)
			return conn, t.Name(), nil
		}
		errs = append(errs, err)
		between := !IsNotPossible(err) && Elsewhere(err)
		if !slow && !Elsewhere(err) {
			// This error explains the failure; that other transports are not
			// possible does not.
			errs = slices.DeleteFunc(errs, IsNotPossible)
			return nil, "", errors.Join(errs...)
		}
		if late == nil && (between || slow && l.worked(t.Name())) {
			late = t
		}
		failed = append(failed, t.Name())
	}
	return nil, "", errors.Join(errs...)
}

// NoneIsPossible says whether err, from Dial, consists of nothing but NotPossibleErrors: no
// transport can work.
func NoneIsPossible(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(many.Unwrap(), func(e error) bool { return !IsNotPossible(e) })
	}
	return IsNotPossible(err)
}

var errNoOther = errors.New("no other transport")

func (l *Dialer) again(ctx context.Context, t Transport) (net.Conn, error) {
	if t == nil {
		return nil, errNoOther
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return t.Dial(ctx)
}

func (l *Dialer) worked(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.good[name]
}

// works notes that a transport works. Those that failed come last for a while.
func (l *Dialer) works(name string, failed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good[name] = true
	for _, n := range failed {
		l.last[n] = l.now().Add(ForgetAfter)
	}
}
