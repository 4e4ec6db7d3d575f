package replacement

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/podstatus"
)

const (
	tidyEvery = time.Second
	// successorTime is how long the successor of an orphan that loses its sidecar may
	// take to be ready, before the orphan is adopted again.
	successorTime = 2 * time.Minute
)

// Janitor evicts orphans that are drained, has orphans adopted again that no Intercept
// wants replaced, and takes sidecars out of pods where nothing needs them. The leader
// runs it.
type Janitor struct {
	Replacer *Replacer
	// MaxIdle is how long a sidecar that no intercept needs stays; 0 for ever.
	MaxIdle time.Duration

	idle map[types.UID]time.Time // pods, since when no Intercept needs their sidecar
	kept map[types.UID]time.Time // pods whose eviction was denied, and when
}

// NeedLeaderElection says that one replica does this.
func (j *Janitor) NeedLeaderElection() bool { return true }

// Start tidies until ctx ends.
func (j *Janitor) Start(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := j.Tidy(ctx, time.Now()); err != nil && ctx.Err() == nil {
			j.Replacer.Log.Warn("tidy up", "error", err)
		}
	}
}

// Tidy makes one pass. It replaces one pod of a namespace at a time.
func (j *Janitor) Tidy(ctx context.Context, now time.Time) error {
	j.Replacer.mu.Lock()
	defer j.Replacer.mu.Unlock()
	orphans, err := j.indexed(ctx, orphanValue)
	if err != nil {
		return err
	}
	sidecars, err := j.indexed(ctx, sidecarValue)
	if err != nil {
		return err
	}
	pass := &pass{reader: j.Replacer.Client, now: now}
	busy := map[string]bool{} // namespaces where a pod is being replaced
	for i := range orphans {
		p := &orphans[i]
		busy[p.Namespace] = true
		if err := j.finishOrphan(ctx, p, pass); err != nil {
			j.Replacer.Log.Warn("tidy up", "namespace", p.Namespace, "pod", p.Name, "error", err)
		}
	}
	idle := map[types.UID]time.Time{}
	for i := range sidecars {
		p := &sidecars[i]
		if busy[p.Namespace] {
			continue
		}
		goes, err := j.superfluous(ctx, p, pass, idle)
		if goes {
			busy[p.Namespace] = true
			err = j.takeOut(ctx, p)
		}
		if err != nil {
			j.Replacer.Log.Warn("take sidecar out", "namespace", p.Namespace, "pod", p.Name, "error", err)
		}
	}
	j.idle = idle
	maps.DeleteFunc(j.kept, func(_ types.UID, at time.Time) bool { return now.Sub(at) > firstRetry })
	return nil
}

// indexed lists pods by the index. They are the cache's own, and must not be changed.
func (j *Janitor) indexed(ctx context.Context, value string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := j.Replacer.Client.List(ctx, &list, client.MatchingFields{IndexField: value}, client.UnsafeDisableDeepCopy)
	return list.Items, err
}

// finishOrphan goes on with an orphan for which no Intercept does: because there is
// none, or it wants no sidecar any more.
func (j *Janitor) finishOrphan(ctx context.Context, p *corev1.Pod, pass *pass) error {
	mark, ok := orphan.Read(p)
	if !ok {
		return nil // not our label
	}
	if mark.Drained != nil {
		if pass.now.Sub(mark.Drained.Time) < drainTime {
			return nil
		}
		_, err := j.Replacer.evict(ctx, p, &lastAction{}, removing(p))
		return err
	}
	if p.Labels[orphan.Label] == orphan.Leaving {
		return j.finishLeaving(ctx, p, mark, pass.now)
	}
	intercepts, err := pass.intercepts(ctx, p.Namespace)
	if err != nil {
		return err
	}
	wanted := slices.ContainsFunc(intercepts, func(ic v1alpha1.Intercept) bool {
		return string(ic.UID) == p.Labels[orphan.Label] && ic.Status.Injection == v1alpha1.InjectSidecar &&
			meta.IsStatusConditionTrue(ic.Status.Conditions, v1alpha1.ConditionResolved)
	})
	if wanted {
		return nil
	}
	return j.Replacer.readopt(ctx, p, &lastAction{}, mark)
}

// finishLeaving drains an orphan that loses its sidecar once a successor is ready.
func (j *Janitor) finishLeaving(ctx context.Context, p *corev1.Pod, mark orphan.Mark, now time.Time) error {
	var list corev1.PodList
	if err := j.Replacer.Client.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingLabels(mark.Labels)); err != nil {
		return err
	}
	for i := range list.Items {
		s := &list.Items[i]
		if by := metav1.GetControllerOf(s); mark.Owner != nil && (by == nil || by.UID != mark.Owner.UID) {
			continue
		}
		if podstatus.Ready(s) && since(s, mark) {
			_, err := j.Replacer.drain(ctx, p, &lastAction{}, mark, removing(p))
			return err
		}
	}
	if now.Sub(mark.At.Time) > successorTime {
		return j.Replacer.readopt(ctx, p, &lastAction{}, mark)
	}
	return nil
}
