// Package status writes the status of Intercepts, and is the only one that does. The
// controller decides the conditions, and agents' reports arrive at every replica; both
// leave the writing to Write.
package status

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Write applies a change to an Intercept's status and writes it, if it is another then.
// It returns the Intercept as it was before; nil when nothing had to be written. The
// change may replace what pointers and slices lead to, and must not modify it. The API
// server refuses the write with a conflict if the Intercept has changed since ic was
// read: then the change has to be decided anew.
func Write(ctx context.Context, c client.StatusClient, ic *v1alpha1.Intercept, change func(*v1alpha1.InterceptStatus)) (*v1alpha1.Intercept, error) {
	next := ic.Status
	change(&next)
	if equality.Semantic.DeepEqual(ic.Status, next) {
		return nil, nil
	}
	before := ic.DeepCopy()
	ic.Status = next
	return before, c.Status().Patch(ctx, ic, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
