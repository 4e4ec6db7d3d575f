package control

import (
	"crypto/x509"
	"errors"
	"time"
)

// ErrAbandoned is why Enroll and Watch give up: nobody leads the agent any more.
var ErrAbandoned = errors.New("the manager is gone")

// Patience is how long an agent waits for its manager to come back. What it
// captures is the application's meanwhile, but a later manager's agent finds the
// pod's ports taken. Zero is for ever.
type Patience struct {
	// Gone is for one that does not answer.
	Gone time.Duration
	// Stranger is for another in its place, whom the agent has no reason to
	// trust: the product was removed and installed again.
	Stranger time.Duration
}

// over says that enough time has passed without a manager, given what became of
// the last attempt to reach it.
func (p Patience) over(alone time.Duration, err error) bool {
	limit := p.Gone
	var stranger x509.UnknownAuthorityError
	if errors.As(err, &stranger) && (limit == 0 || p.Stranger < limit) {
		limit = p.Stranger
	}
	return limit > 0 && alone >= limit
}
