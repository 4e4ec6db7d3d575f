package replacement

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// abandonments are generations of Intercepts for which pods were evicted and did not
// come up with a sidecar. Such pods are made without one again, until the Intercept
// changes. The next leader does not know of them, and may try again.
type abandonments struct {
	mu          sync.Mutex // never held during a request
	byIntercept map[types.UID]abandonment
}

type abandonment struct {
	generation int64
	reason     *problem.Problem
}

// add returns the reason in full.
func (l *abandonments) add(ic *v1alpha1.Intercept, p *problem.Problem) *problem.Problem {
	p = problem.New(p.Reason, "%s; the application's pods are made without a sidecar again until the intercept is changed or made anew", p.Message)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byIntercept == nil {
		l.byIntercept = map[types.UID]abandonment{}
	}
	l.byIntercept[ic.UID] = abandonment{ic.Generation, p}
	return p
}

// reason is nil for an Intercept that was not abandoned, or has changed since.
func (l *abandonments) reason(ic *v1alpha1.Intercept) *problem.Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.byIntercept[ic.UID]; ok && a.generation == ic.Generation {
		return a.reason
	}
	return nil
}

func (l *abandonments) forget(ic *v1alpha1.Intercept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byIntercept, ic.UID)
}
