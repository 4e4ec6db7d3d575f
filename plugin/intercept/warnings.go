package intercept

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// warnOfDoubts warns of what the user may not have meant: a port that nobody declares,
// which may be a typing error, and a Service that selects the pods of several workloads.
// All are the workloads; nil if no Service is intercepted, or if they are not known.
func (m *maker) warnOfDoubts(ctx context.Context, all *target.Listing) {
	var warnings []string
	for _, p := range m.resolved {
		if !resolve.Declares(m.workload, p) {
			warnings = append(warnings, fmt.Sprintf("no Service and no container of %s declares port %s: it is taken for a port that the application listens on",
				m.workload, resolve.Identifier(p)))
		}
	}
	if all != nil {
		if owners, err := target.Owners(ctx, m.client, m.workload, all); err == nil && len(owners) > 1 {
			last := len(owners) - 1
			warnings = append(warnings, fmt.Sprintf("%s selects pods of %s and %s: all of them that have the port are intercepted",
				m.workload, strings.Join(owners[:last], ", "), owners[last]))
		}
	}
	if len(warnings) > 0 {
		m.progress.Done()
	}
	for _, w := range warnings {
		render.Warn(m.ErrOut, w)
	}
}

// warnOfTakeover warns if the intercept went to another session of the same user, which
// gets no traffic any more. The user may sit at both machines.
func (m *maker) warnOfTakeover(ctx context.Context, before *v1alpha1.Intercept, s *Session) {
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

// warnOfStatus warns of what an intercept that works does not get: callers of pods to which
// no Service sends any, and requests that other personal intercepts take as well.
func (m *maker) warnOfStatus(i *v1alpha1.Intercept) {
	for _, c := range []*metav1.Condition{
		meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionPodsReady),
		meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionOverlap),
	} {
		if c != nil && (c.Status == metav1.ConditionTrue) == (c.Type == v1alpha1.ConditionOverlap) {
			m.progress.Done()
			render.Warn(m.ErrOut, c.Message)
		}
	}
}
