package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// decide resolves an Intercept, brings agents into its pods, and finds out how far they
// are. It changes pods, but not the Intercept, and returns when to reconcile again.
func (r *Intercepts) decide(ctx context.Context, ic *v1alpha1.Intercept) (*decision, time.Duration, error) {
	d := &decision{generation: ic.Generation, mode: ic.Spec.Mode, match: ic.Spec.Match, resolution: resolution{ic.Status.Workload, ic.Status.Ports, ic.Status.ProbePorts}}
	session, refusal, err := r.session(ctx, ic)
	if err != nil {
		return nil, 0, err
	}
	var w *resolve.Workload
	var pods []corev1.Pod
	if refusal == nil {
		if w, d.resolution, refusal, err = r.resolve(ctx, ic); err != nil {
			return nil, 0, err
		}
	}
	if refusal == nil {
		refusal = unfit(ic, w, d.ports)
	}
	if refusal == nil {
		if pods, err = w.Pods(ctx, r.Client); err != nil {
			return nil, 0, err
		}
		var rivals []rival
		if refusal, rivals, err = r.conflict(ctx, ic, d.ports, w, pods); err != nil {
			return nil, 0, err
		}
		d.overlap = overlap(ic, len(session.Status.Relays) == 0, rivals)
	}
	if d.refusal = refusal; refusal != nil {
		if refusal.Reason == v1alpha1.ReasonSessionNotFound {
			err = r.endSessionless(ctx, ic)
		}
		return d, 5 * time.Second, err
	}
	d.connected = meta.IsStatusConditionTrue(session.Status.Conditions, v1alpha1.ConditionConnected)
	d.reports = liveReports(ic.Status.Pods, pods)
	var again time.Duration
	if len(d.captured()) > 0 {
		if again, err = r.attach(ctx, ic, d, w, pods); err != nil {
			return nil, 0, err
		}
	}
	var look time.Duration
	if d.standIn, look = r.standIn(ctx, ic, d, w, pods); look > 0 && (again == 0 || look < again) {
		again = look
	}
	if ic.Spec.Mode == v1alpha1.ModeReplace && ic.Spec.StandIn != nil {
		if look := r.pause(ctx, ic, d, pods); look > 0 && (again == 0 || look < again) {
			again = look
		}
	}
	if err := r.explain(ctx, ic, d, w, pods); err != nil {
		return nil, 0, err
	}
	var left time.Duration
	if d.matched, left = r.matched(ic, time.Now()); left > 0 && (again == 0 || left < again) {
		again = left
	}
	return d, again, nil
}

// session reads the Intercept's Session. It refuses one of another user.
func (r *Intercepts) session(ctx context.Context, ic *v1alpha1.Intercept) (*v1alpha1.Session, *problem.Problem, error) {
	var s v1alpha1.Session
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, problem.New(v1alpha1.ReasonSessionNotFound, "session %s does not exist", ic.Spec.Session), nil
	case err != nil:
		return nil, nil, err
	case s.DeletionTimestamp != nil:
		return nil, problem.New(v1alpha1.ReasonSessionNotFound, "session %s has ended", ic.Spec.Session), nil
	case s.Spec.User != ic.Spec.User:
		return nil, problem.New(v1alpha1.ReasonSessionForeign, "session %s belongs to another user than %s", s.Name, ic.Spec.User), nil
	}
	return &s, nil, nil
}

// endSessionless deletes an Intercept whose Session was deleted while no replica was
// the leader.
func (r *Intercepts) endSessionless(ctx context.Context, ic *v1alpha1.Intercept) error {
	c := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionResolved)
	if c == nil || c.Reason != v1alpha1.ReasonSessionNotFound || time.Since(c.LastTransitionTime.Time) < sessionlessLife {
		return nil
	}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &v1alpha1.Session{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	r.Log.Info("the session of an intercept is gone", "intercept", ic.Namespace+"/"+ic.Name, "session", ic.Spec.Session)
	return client.IgnoreNotFound(r.Client.Delete(ctx, ic, client.Preconditions{UID: &ic.UID}))
}
