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

// attempts are those to guess the password of one preview at this replica.
type attempts struct {
	mu    sync.Mutex
	since time.Time
	wrong int // since then; those that are being compared count
	// right is the last password that was right, as a keyed hash: programs send it with
	// each request.
	right []byte
}

// begin counts an attempt as wrong. It returns false if there were too many.
func (a *attempts) begin(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.since) >= attemptWindow {
		a.since, a.wrong = now, 0
	}
	if a.wrong == maxAttempts {
		return false
	}
	a.wrong++
	return true
}

// wasRight says whether a password, of which this is the keyed hash, was right before.
// Then the attempt does not count.
func (a *attempts) wasRight(sum []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.right == nil || !hmac.Equal(a.right, sum) {
		return false
	}
	a.wrong = max(0, a.wrong-1)
	return true
}

// remember notes a password that was right, and does not count its attempt.
func (a *attempts) remember(sum []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.right, a.wrong = sum, max(0, a.wrong-1)
}

// hashing bounds how many passwords are compared at the same time.
type hashing chan struct{}

func (h hashing) compare(ctx context.Context, hash, password string) bool {
	select {
	case h <- struct{}{}:
		defer func() { <-h }()
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	case <-ctx.Done():
		return false
	}
}
