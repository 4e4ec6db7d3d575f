package control

import (
	"crypto/x509"
	"errors"
	"time"
)

// ErrAbandoned is the error of Enroll and Watch after the manager has been gone for
// longer than Client.Patience.
var ErrAbandoned = errors.New("the manager is gone")

// Patience is how long an agent waits for its manager to come back. A zero duration
// means that it waits forever. A waiting agent passes connections to the application.
// But as long as it waits, the agent of a later manager cannot capture ports of the pod.
type Patience struct {
	// Gone is how long the agent waits while no manager answers.
	Gone time.Duration
	// Stranger is how long the agent waits while a manager answers whose certificate
	// it does not trust. That happens after the product has been uninstalled and
	// installed again.
	Stranger time.Duration
}

// over reports whether the agent has waited long enough. Alone is the time since the
// manager was last reached, err the error of the last attempt to connect.
func (p Patience) over(alone time.Duration, err error) bool {
	limit := p.Gone
	var stranger x509.UnknownAuthorityError
	if errors.As(err, &stranger) && (limit == 0 || p.Stranger < limit) {
		limit = p.Stranger
	}
	return limit > 0 && alone >= limit
}
