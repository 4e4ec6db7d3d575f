package intercept

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// apply creates the intercept, or updates the user's intercept of the same workload, and
// then returns the former state as before.
func (m *maker) apply(ctx context.Context, s *Session) (now, before *v1alpha1.Intercept, err error) {
	const attempts = 4 // another command may take the name or change the object
	for range attempts {
		now, before, err = m.applyOnce(ctx, s)
		if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			break
		}
	}
	return now, before, err
}

// existing returns the name of the intercept, the intercept if it exists already, and all
// that the user sees.
func (m *maker) existing(ctx context.Context, user string) (visible []v1alpha1.Intercept, name string, i *v1alpha1.Intercept, err error) {
	visible, err = target.VisibleIntercepts(ctx, m.client, m.Namespace, m.Factory.ManagerNamespace)
	if err != nil {
		return nil, "", nil, err
	}
	here := slices.DeleteFunc(slices.Clone(visible), func(i v1alpha1.Intercept) bool { return i.Namespace != m.Namespace })
	name, i, err = nameFor(here, user, m.Name, m.workload.Ref)
	return visible, name, i, err
}

func (m *maker) applyOnce(ctx context.Context, s *Session) (now, before *v1alpha1.Intercept, err error) {
	visible, name, existing, err := m.existing(ctx, s.User)
	if err != nil {
		return nil, nil, err
	}
	if existing != nil && existing.DeletionTimestamp != nil {
		m.progress.Step("waiting for the end of the former intercept")
		if err := gone(ctx, m.client, existing, m.Timeout); err != nil {
			return nil, nil, err
		}
		existing = nil
	}
	now = &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: m.Namespace}}
	if existing != nil {
		before, now = existing, existing.DeepCopy()
	}
	now.Spec = v1alpha1.InterceptSpec{
		User: s.User, Session: s.Name, Workload: m.workload.Ref, Service: m.Service, Ports: append([]v1alpha1.InterceptPort{}, m.Ports...),
		Mode: v1alpha1.ModeGlobal, Inject: m.Inject, KeepEstablished: m.KeepEstablished, NoFallback: m.NoFallback,
		Preview: m.Preview, StandIn: m.StandIn,
	}
	if m.Match != nil {
		now.Spec.Mode, now.Spec.Match = v1alpha1.ModePersonal, m.Match.of(name, before)
	}
	switch {
	case m.Mirror:
		now.Spec.Mode = v1alpha1.ModeMirror
	case m.Ingest:
		now.Spec.Mode = v1alpha1.ModeIngest
	case m.Replace:
		now.Spec.Mode = v1alpha1.ModeReplace
	}
	if before != nil {
		if err := m.keep(&now.Spec, &before.Spec); err != nil {
			return nil, nil, err
		}
	}
	if err := clash(visible, now); err != nil {
		return nil, nil, err
	}
	// A write that is interrupted leaves it unknown what there is to undo.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoDeadline)
	defer cancel()
	switch {
	case m.DryRun == cmdutil.DryRunClient:
	case before == nil && m.DryRun == cmdutil.DryRunServer:
		err = m.client.Create(ctx, now, client.DryRunAll)
	case before == nil:
		err = m.client.Create(ctx, now)
	case m.DryRun == cmdutil.DryRunServer:
		err = m.client.Update(ctx, now, client.DryRunAll)
	default:
		err = m.client.Update(ctx, now)
	}
	return now, before, err
}
