package replacement

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
)

// superfluous says that the sidecar of a pod is to go. An Intercept brought it, none
// needs it, and either it was idle for long enough, a person has asked, or the pod
// does not come up with it. A pod that does not come up is not needed by Intercepts
// that want no sidecar. The pod is added to idle if no Intercept needs its sidecar.
func (j *Janitor) superfluous(ctx context.Context, p *corev1.Pod, pass *pass, idle map[types.UID]time.Time) (bool, error) {
	intercepts, err := pass.of(ctx, p)
	if err != nil {
		return false, err
	}
	needed := func(ic *v1alpha1.Intercept) bool {
		return podstatus.Ready(p) || ic.Status.Injection == v1alpha1.InjectSidecar
	}
	switch {
	case slices.ContainsFunc(intercepts, needed):
		return false, nil
	case len(intercepts) > 0:
		return podstatus.Diagnose(p) != nil, nil
	}
	since, ok := j.idle[p.UID]
	if !ok {
		since = pass.now
	}
	idle[p.UID] = since
	if !podstatus.Ready(p) && podstatus.Diagnose(p) != nil {
		return true, nil
	}
	return p.Annotations[sidecar.LeaveAnnotation] != "" || j.MaxIdle > 0 && pass.now.Sub(since) >= j.MaxIdle, nil
}

// takeOut has a pod made anew. The webhook puts no sidecar into the new one.
func (j *Janitor) takeOut(ctx context.Context, p *corev1.Pod) error {
	r := j.Replacer
	owner := metav1.GetControllerOf(p)
	if owner == nil || !Recreates(owner.Kind) {
		return nil
	}
	w, err := r.workloadOf(ctx, p, owner)
	if err != nil {
		return err
	}
	if w.OnDelete && podstatus.Ready(p) && p.Annotations[sidecar.LeaveAnnotation] == "" {
		return nil // its strategy leaves that to people
	}
	last := r.last(w)
	if time.Since(last.acted) < settleTime || time.Since(j.kept[p.UID]) < firstRetry {
		return nil
	}
	pods, err := w.Pods(ctx, r.Client)
	if err != nil {
		return err
	}
	if len(pods) < int(w.Replicas) || slices.ContainsFunc(pods, func(o corev1.Pod) bool { return o.UID != p.UID && !podstatus.Ready(&o) }) {
		return nil // one after the other
	}
	denied, err := r.tryEvict(ctx, p, removing(p))
	if err != nil {
		return err
	}
	if denied.Reason == v1alpha1.ReasonEvictionDenied {
		j.keep(p)
		r.Log.Warn("sidecar stays", "namespace", p.Namespace, "pod", p.Name, "reason", denied.Message)
		return nil
	}
	labels, err := r.removable(ctx, p)
	if err != nil {
		return err
	}
	if len(labels) > 0 && podstatus.Ready(p) {
		return r.orphan(ctx, p, last, orphan.Leaving, labels)
	}
	_, err = r.evict(ctx, p, last, removing(p))
	return err
}

// keep leaves a pod alone for a while.
func (j *Janitor) keep(p *corev1.Pod) {
	if j.kept == nil {
		j.kept = map[types.UID]time.Time{}
	}
	j.kept[p.UID] = time.Now()
}
