package controller

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// conflict refuses an Intercept if another one takes the same requests of one of the ports
// in one of the workload's pods, and has the better claim. If it does not refuse it, it
// returns the others that may take some of its requests, from the oldest on.
func (r *Intercepts) conflict(ctx context.Context, ic *v1alpha1.Intercept, ports []v1alpha1.ResolvedPort, w *resolve.Workload, pods []corev1.Pod) (*problem.Problem, []rival, error) {
	var list v1alpha1.InterceptList
	if err := r.Client.List(ctx, &list, client.InNamespace(ic.Namespace)); err != nil {
		return nil, nil, err
	}
	own := r.claim(ctx, ic)
	var rivals []rival
	for i := range list.Items {
		other := &list.Items[i]
		port, container := shared(ports, other.Status.Ports), sharesContainer(ic, other, ports, w, pods)
		if port == "" && container == "" || other.UID == ic.UID || !plan.Accepted(other) {
			continue
		}
		relation := r.relate(ic, other)
		if relation == apart || relation == same && !r.claim(ctx, other).precedes(own) {
			continue
		}
		ow, err := resolve.Get(ctx, r.Client, other.Namespace, other.Spec.Workload)
		if err != nil || !overlaps(w, ow, pods) { // an error: its workload is gone
			continue
		}
		switch {
		case relation == same && port == "":
			return replacedBy(ic, other, container), nil, nil
		case relation == same:
			return takenBy(ic, other, port), nil, nil
		}
		rivals = append(rivals, rival{other, r.away(ctx, other)})
	}
	slices.SortFunc(rivals, func(a, b rival) int { return plan.Older(a.Intercept, b.Intercept) })
	return nil, rivals, nil
}

// claim is how good an Intercept's claim on its ports is.
type claim struct {
	absent  bool // its laptop has been away for a while
	waiting bool // it has no traffic that it could lose
	since   time.Time
	uid     types.UID
}

// precedes says that the claim is better than another. Of two different claims one is
// better, so that no port has two owners. An Intercept that got the port while the
// other's laptop was absent keeps it.
func (c claim) precedes(o claim) bool {
	order := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(order(c.absent)-order(o.absent), order(c.waiting)-order(o.waiting), c.since.Compare(o.since), cmp.Compare(c.uid, o.uid)) < 0
}

// claim reads how good an Intercept's claim is. A laptop counts as present for a while
// after it went away.
func (r *Intercepts) claim(ctx context.Context, ic *v1alpha1.Intercept) claim {
	c := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionActive)
	has := c != nil && (c.Status == metav1.ConditionTrue || c.Reason == v1alpha1.ReasonDisconnected)
	absent := r.absent(ctx, ic)
	return claim{absent: absent, waiting: absent || !has || !plan.Accepted(ic), since: ic.CreationTimestamp.Time, uid: ic.UID}
}

// absent says that the laptop has been away for longer than absence.
func (r *Intercepts) absent(ctx context.Context, ic *v1alpha1.Intercept) bool {
	var s v1alpha1.Session
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &s); err != nil {
		return apierrors.IsNotFound(err)
	}
	if s.DeletionTimestamp != nil {
		return true
	}
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionConnected)
	return c != nil && c.Status != metav1.ConditionTrue && time.Since(c.LastTransitionTime.Time) > absence
}

// away says that the laptop has no connection now.
func (r *Intercepts) away(ctx context.Context, ic *v1alpha1.Intercept) bool {
	var s v1alpha1.Session
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &s)
	return err != nil || !s.Serves(ic.Spec.User) || len(s.Status.Relays) == 0
}

// shared is the first port that both lists have; empty for none.
func shared(a, b []v1alpha1.ResolvedPort) string {
	for _, p := range a {
		if slices.ContainsFunc(b, func(q v1alpha1.ResolvedPort) bool {
			return p.ContainerPort == q.ContainerPort && p.Protocol == q.Protocol
		}) {
			return resolve.Identifier(p)
		}
	}
	return ""
}

// overlaps says whether two workloads have pods in common, or are the same.
func overlaps(a, b *resolve.Workload, pods []corev1.Pod) bool {
	return a.Ref == b.Ref || slices.ContainsFunc(pods, func(p corev1.Pod) bool { return b.Matches(&p) })
}
