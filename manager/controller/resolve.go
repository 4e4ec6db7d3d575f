package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
)

// resolve finds workload and ports and notes them in the status.
func (r *Intercepts) resolve(ctx context.Context, ic *v1alpha1.Intercept) (*resolve.Workload, *problem, error) {
	name := resolve.RefString(ic.Spec.Workload)
	ic.Status.Workload = name
	w, err := resolve.Get(ctx, r.Client, ic.Namespace, ic.Spec.Workload)
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		return nil, &problem{v1alpha1.ReasonWorkloadNotFound, fmt.Sprintf("%s does not exist in namespace %q", name, ic.Namespace)}, nil
	case err != nil:
		return nil, nil, err
	}
	if err := w.NoPods(); err != nil {
		if !plan.Accepted(ic) { // nor were the ports of this spec known before
			return nil, &problem{v1alpha1.ReasonNoPods, err.Error()}, nil
		}
		return w, nil, nil
	}
	if reason := resolve.Obstacle(w); reason != "" {
		return nil, &problem{v1alpha1.ReasonNotSupported, name + " cannot be intercepted: " + reason}, nil
	}
	services, err := resolve.Services(ctx, r.Client, w)
	if err != nil {
		return nil, nil, err
	}
	ports, err := resolve.Ports(w, services, ic.Spec.Service, ic.Spec.Ports)
	var pe *resolve.PortError
	if errors.As(err, &pe) {
		return nil, &problem{v1alpha1.ReasonPortNotFound, pe.Error()}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	ic.Status.Ports = ports
	var names []string
	for _, p := range ports {
		names = append(names, resolve.Identifier(p))
	}
	ic.Status.Port = strings.Join(names, ",")
	return w, nil, nil
}

// conflict finds an Intercept that has one of the ports in one of the workload's pods,
// and the better claim.
func (r *Intercepts) conflict(ctx context.Context, ic *v1alpha1.Intercept, w *resolve.Workload, pods []corev1.Pod) (*problem, error) {
	var list v1alpha1.InterceptList
	if err := r.Client.List(ctx, &list, client.InNamespace(ic.Namespace)); err != nil {
		return nil, err
	}
	own := r.claim(ctx, ic)
	for i := range list.Items {
		other := &list.Items[i]
		port := shared(ic, other)
		if port == "" || other.UID == ic.UID || !plan.Accepted(other) || !r.claim(ctx, other).precedes(own) {
			continue
		}
		ow, err := resolve.Get(ctx, r.Client, other.Namespace, other.Spec.Workload)
		if err != nil {
			continue // its workload is gone
		}
		if overlaps(w, ow, pods) {
			return &problem{v1alpha1.ReasonPortTaken, fmt.Sprintf("port %s of %s is intercepted by %s since %s (intercept %s)",
				port, resolve.RefString(ic.Spec.Workload), other.Spec.User,
				other.CreationTimestamp.UTC().Format("2006-01-02 15:04:05 UTC"), other.Name)}, nil
		}
	}
	return nil, nil
}

// claim is how good an Intercept's claim on its ports is.
type claim struct {
	absent  bool // its laptop, for a while
	waiting bool // it has no traffic that it could lose
	since   time.Time
	uid     types.UID
}

// precedes says that the claim is better than another: of two different ones,
// one is, so that no port has two owners. The claim that has waited out an absence
// keeps the port.
func (c claim) precedes(o claim) bool {
	order := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(order(c.absent)-order(o.absent), order(c.waiting)-order(o.waiting), c.since.Compare(o.since), cmp.Compare(c.uid, o.uid)) < 0
}

// claim reads off how good ic's claim is. A laptop that went away a short time
// ago has one as if it were there.
func (r *Intercepts) claim(ctx context.Context, ic *v1alpha1.Intercept) claim {
	c := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionActive)
	has := c != nil && (c.Status == metav1.ConditionTrue || c.Reason == v1alpha1.ReasonDisconnected)
	absent := r.absent(ctx, ic)
	return claim{absent: absent, waiting: absent || !has || !plan.Accepted(ic), since: ic.CreationTimestamp.Time, uid: ic.UID}
}

func (r *Intercepts) absent(ctx context.Context, ic *v1alpha1.Intercept) bool {
	var s v1alpha1.Session
	if err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: ic.Spec.Session}, &s); err != nil {
		return apierrors.IsNotFound(err)
	}
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionConnected)
	return c != nil && c.Status != metav1.ConditionTrue && time.Since(c.LastTransitionTime.Time) > absence
}

func active(ic *v1alpha1.Intercept) bool {
	return meta.IsStatusConditionTrue(ic.Status.Conditions, v1alpha1.ConditionActive)
}

// shared is the first port both have; empty for none.
func shared(a, b *v1alpha1.Intercept) string {
	for _, p := range a.Status.Ports {
		if slices.ContainsFunc(b.Status.Ports, func(q v1alpha1.ResolvedPort) bool {
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
