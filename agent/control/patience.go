package control

import (
	"crypto/x509"
	"errors"
	"time"
)

// ErrAbandoned is why Enroll and Watch give up: the agent has no manager any more.
var ErrAbandoned = errors.New("the manager is gone")

// Patience is how long an agent waits for its manager to come back; zero is for
// ever. The agent passes connections to the application meanwhile, but it keeps the
// pod's ports from the agent of a later manager.
type Patience struct {
	// Gone is for one that does not answer.
	Gone time.Duration
	// Stranger is for another manager at the same address, which the agent has no
	// reason to trust: the product was removed and installed again.
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
