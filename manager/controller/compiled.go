package controller

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// compiled has the compiled conditions of Intercepts: each reconciliation compares an
// Intercept with all others of its port. It is safe for concurrent use.
type compiled struct {
	mu   sync.Mutex
	sets map[types.UID]compiledMatch
}

type compiledMatch struct {
	match *v1alpha1.Match
	set   *match.Set
}

// of returns the conditions of an Intercept's spec.
func (c *compiled) of(ic *v1alpha1.Intercept) *match.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.sets[ic.UID]
	if ok && equality.Semantic.DeepEqual(known.match, ic.Spec.Match) {
		return known.set
	}
	if c.sets == nil {
		c.sets = map[types.UID]compiledMatch{}
	}
	set := match.Compile(ic.Spec.Match.Conditions())
	c.sets[ic.UID] = compiledMatch{ic.Spec.Match.DeepCopy(), set}
	return set
}

// forget drops those of an Intercept that is going.
func (c *compiled) forget(ic *v1alpha1.Intercept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sets, ic.UID)
}
