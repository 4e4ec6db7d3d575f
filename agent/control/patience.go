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
	// OtherAuthority is the limit while the manager that answers has a certificate of an
	// unknown authority. This is the case after the product was removed and installed
	// again.
	OtherAuthority time.Duration
}

// exceeded reports whether the agent has been without a manager for too long. Alone is how
// long, err the error of the last attempt to reach a manager.
func (p Patience) exceeded(alone time.Duration, err error) bool {
	limit := p.Gone
	var other x509.UnknownAuthorityError
	if errors.As(err, &other) && (limit == 0 || p.OtherAuthority < limit) {
		limit = p.OtherAuthority
	}
	return limit > 0 && alone >= limit
}
