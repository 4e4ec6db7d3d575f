package control

import (
	"crypto/x509"
	"errors"
	"time"
)

// ErrAbandoned: Enroll or Watch gave up, because the manager has been gone for
// longer than Patience allows.
var ErrAbandoned = errors.New("the manager is gone")

// Patience is how long an agent waits for its manager to come back; zero is
// forever. While the agent waits, it passes connections to the application. But the
// agent of a later manager cannot capture the pod's ports during that time.
type Patience struct {
	// Gone is the limit while no manager answers.
	Gone time.Duration
	// Stranger is the limit while the manager that answers has a certificate of an
	// unknown authority. This is the case after the product was removed and
	// installed again.
	Stranger time.Duration
}

// over says that the agent has been without a manager for too long. Alone is how
// long, err the error of the last attempt to reach a manager.
func (p Patience) over(alone time.Duration, err error) bool {
	limit := p.Gone
	var stranger x509.UnknownAuthorityError
	if errors.As(err, &stranger) && (limit == 0 || p.Stranger < limit) {
		limit = p.Stranger
	}
	return limit > 0 && alone >= limit
}
