package status

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// TestWrite: a change is written once, and refused if the Intercept was read before
// another one was written.
func TestWrite(t *testing.T) {
	noIndex := func(context.Context, client.FieldIndexer) error { return nil }
	shop := shoptest.New(t, noIndex, interceptor.Funcs{}, shoptest.Intercept("alice", time.Now()))
	var ic v1alpha1.Intercept
	shop.Must(shop.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote-alice"}, &ic))
	stale := ic.DeepCopy()
	waits := func(s *v1alpha1.InterceptStatus) { s.State = v1alpha1.StateWaiting }
	before, err := Write(t.Context(), shop, &ic, waits)
	shop.Must(err)
	if before == nil || before.Status.State != "" || ic.Status.State != v1alpha1.StateWaiting {
		t.Errorf("before %+v, now %+v", before, ic.Status)
	}
	if before, err := Write(t.Context(), shop, &ic, waits); before != nil || err != nil {
		t.Errorf("the same status is written again: %+v, %v", before, err)
	}
	if _, err := Write(t.Context(), shop, stale, func(s *v1alpha1.InterceptStatus) { s.State = v1alpha1.StateActive }); !apierrors.IsConflict(err) {
		t.Errorf("a decision about an older Intercept is written: %v", err)
	}
}
