package intercept

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// sayTaken tells whoever takes an intercept over from another session of theirs
// which one that is: it gets nothing any more, and they may sit at both.
func (m *maker) sayTaken(ctx context.Context, before *v1alpha1.Intercept, s *Session) {
	if before == nil || before.Spec.Session == s.Name {
		return
	}
	var former v1alpha1.Session
	if err := m.client.Get(ctx, client.ObjectKey{Namespace: m.Factory.ManagerNamespace, Name: before.Spec.Session}, &former); err != nil {
		return // it is gone, and took nothing
	}
	m.progress.Done()
	render.Warn(m.ErrOut, fmt.Sprintf(
		"intercept %s of yours went to host %s (session %s) until now; it comes here instead", before.Name, former.Spec.Host, former.Name))
}
