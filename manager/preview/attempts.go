package preview

import (
	"context"
	"crypto/hmac"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// maxAttempts is how many wrong passwords a preview takes in attemptWindow, whoever
	// sends them: what is in front of the traffic-manager decides which addresses it sees.
	maxAttempts   = 10
	attemptWindow = time.Minute
	// maxCompared is how many passwords are compared at the same time. Each comparison
	// takes a processor for a while.
	maxCompared = 2
)

// maxForeign bounds how many passwords of an application a preview remembers.
const maxForeign = 100

// attempts are those to guess the password of one preview at this replica. It knows
// passwords by a keyed hash.
type attempts struct {
	mu    sync.Mutex
	since time.Time
	wrong int // since then; those that are being compared count
	// right is the comparison of the right password: programs send that with each request.
	right     *comparison
	comparing map[string]*comparison // by the hash
	// foreign has passwords of visitors with a cookie that are not the preview's.
	foreign map[string]bool
}

// comparison is that of one password, for all visitors who send it at the same time.
type comparison struct {
	sum   []byte    // the hash
	since time.Time // that of attempts when it began
	// done is closed once right and err are set. Err says that the comparison was given up.
	done  chan struct{}
	right bool
	err   error
}

// try says whether a password with this hash is right, by compare if nobody has had it
// compared. Allowed is false after too many wrong ones.
func (a *attempts) try(ctx context.Context, now time.Time, sum []byte, compare func() (bool, error)) (allowed, right bool) {
	for {
		c, first := a.begin(now, sum)
		switch {
		case c == nil:
			return false, false
		case first:
			right, err := compare()
			a.end(c, right, err)
			return true, right
		}
		select {
		case <-c.done:
			if c.err == nil {
				return true, c.right
			}
		case <-ctx.Done():
			return true, false
		}
	}
}

// begin returns the comparison of a password, and whether the caller is the first and has
// to compare. The comparison is nil after too many wrong passwords.
func (a *attempts) begin(now time.Time, sum []byte) (c *comparison, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.since) >= attemptWindow {
		a.since, a.wrong = now, 0
	}
	switch c := a.comparing[string(sum)]; {
	case c != nil:
		return c, false
	case a.wrong == maxAttempts:
		return nil, false
	case a.right != nil && hmac.Equal(a.right.sum, sum):
		return a.right, false
	}
	c = &comparison{sum: sum, since: a.since, done: make(chan struct{})}
	if a.comparing == nil {
		a.comparing = map[string]*comparison{}
	}
	a.comparing[string(sum)] = c
	a.wrong++
	return c, true
}

// end notes what a comparison found. Only a wrong password stays counted.
func (a *attempts) end(c *comparison, right bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.comparing, string(c.sum))
	if (right || err != nil) && a.since.Equal(c.since) {
		a.wrong--
	}
	if c.right, c.err = right, err; right {
		a.right = c
	}
	close(c.done)
}

// own says whether a password that a visitor with a cookie sends is the preview's, and not
// the application's. It counts no attempt.
func (a *attempts) own(sum []byte, compare func() (bool, error)) bool {
	a.mu.Lock()
	right, foreign := a.right, a.foreign[string(sum)]
	a.mu.Unlock()
	if right != nil || foreign {
		return right != nil && hmac.Equal(right.sum, sum)
	}
	own, err := compare()
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case own:
		a.right = &comparison{sum: sum, done: closed(), right: true}
	case err == nil:
		if a.foreign == nil || len(a.foreign) == maxForeign {
			a.foreign = map[string]bool{}
		}
		a.foreign[string(sum)] = true
	}
	return own
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// hashing bounds how many passwords are compared at the same time.
type hashing chan struct{}

// compare says whether a password has a hash. It returns an error if ctx ends before it
// can compare.
func (h hashing) compare(ctx context.Context, hash, password string) (bool, error) {
	select {
	case h <- struct{}{}:
		defer func() { <-h }()
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
