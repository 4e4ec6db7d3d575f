package inject

import "github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"

// Policy says which pods may get a sidecar when they are made, as
// agentInjector.injectPolicy has it.
type Policy string

// The policies.
const (
	// OnDemand admits pods that an Intercept or their annotation wants a sidecar in.
	OnDemand Policy = "OnDemand"
	// WhenEnabled admits pods whose annotation wants one, and no others.
	WhenEnabled Policy = "WhenEnabled"
)

// Admits reports whether pods with these wishes may get a sidecar.
func (p Policy) Admits(w resolve.Wishes) bool {
	switch w.Inject {
	case resolve.WishEnabled:
		return true
	case resolve.WishDisabled:
		return false
	}
	return p != WhenEnabled
}
