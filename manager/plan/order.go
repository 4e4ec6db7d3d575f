package plan

import (
	"cmp"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Tier says which Intercepts of a port are asked first. An Intercept of a higher tier
// gets what those of lower tiers leave, so that the two never conflict.
type Tier int

// The tiers.
const (
	// Some are personal Intercepts with conditions.
	Some Tier = iota
	// EveryRequest are personal Intercepts without conditions, or with one that every
	// request meets.
	EveryRequest
	// Everything are global Intercepts.
	Everything
	// Copies are mirrors. They get what the others get as well, and take nothing, so that
	// two of them never conflict either.
	Copies
)

// TierOf returns the tier of an Intercept with this mode and match.
func TierOf(mode v1alpha1.InterceptMode, m *v1alpha1.Match) Tier {
	switch {
	case mode == v1alpha1.ModeMirror:
		return Copies
	case mode != v1alpha1.ModePersonal:
		return Everything
	case m.Conditions().Every():
		return EveryRequest
	}
	return Some
}

// Older orders Intercepts by age, with the older one first.
func Older(a, b *v1alpha1.Intercept) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
}

// candidate is an Intercept that a pod's plan may have routes of.
type candidate struct {
	*v1alpha1.Intercept
	relays []string
}

// keepsEstablished says that the Intercept leaves connections alone that were open before.
// A mirror does, since nobody is to notice it.
func (c *candidate) keepsEstablished() bool {
	return c.Spec.KeepEstablished || c.Status.Mode == v1alpha1.ModeMirror
}

// order sorts Intercepts as agents ask them: by tier, and within a tier by age, with those
// at the end whose laptop is away.
func order(all []candidate) {
	away := func(c *candidate) int {
		if len(c.relays) == 0 {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(tier(a.Intercept), tier(b.Intercept)), cmp.Compare(away(&a), away(&b)), Older(a.Intercept, b.Intercept))
	})
}

// tier is that of the Intercept in force, which may not be that of its changed spec.
func tier(ic *v1alpha1.Intercept) Tier { return TierOf(ic.Status.Mode, ic.Status.Match) }
