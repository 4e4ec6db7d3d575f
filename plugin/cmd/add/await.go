package add

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// undoDeadline bounds what happens after an error or Ctrl-C.
const undoDeadline = 10 * time.Second

// hopelessError is a condition that waiting does not change.
type hopelessError struct{ condition metav1.Condition }

func (e *hopelessError) Error() string { return e.condition.Message }

var errGone = errors.New("somebody deleted the intercept while it was being set up")

// await follows the intercept until traffic arrives here, while bounded is not
// over. What cannot succeed
// is undone: an intercept that this command made is deleted, one that it
// changed gets its former spec back. One that only takes too long stays.
func (o *Options) await(ctx, bounded context.Context, i, before *v1alpha1.Intercept) (*v1alpha1.Intercept, error) {
	pods := 0
	if list, err := o.workload.Pods(ctx, o.client); err == nil {
		pods = len(list)
	}
	last, said := i, ""
	visit := func(now *v1alpha1.Intercept) (bool, error) {
		if now == nil {
			return false, errGone
		}
		last = now
		step, done, err := judge(now, pods)
		if gist := gist(step); gist != said {
			o.progress.Step(step)
			said = gist
		}
		return done, err
	}
	err := target.FollowFor(bounded, o.Timeout, o.client, client.ObjectKeyFromObject(i), visit)
	var hopeless *hopelessError
	switch {
	case err == nil:
		o.warnUnserved(last)
		return last, nil
	case errors.As(err, &hopeless):
		return nil, o.undo(ctx, last, before, err)
	case ctx.Err() != nil:
		return nil, o.undo(ctx, last, before, o.interrupted())
	case errors.Is(err, target.ErrTimeout):
		o.progress.Done()
		o.explain(ctx, last)
		return nil, fmt.Errorf("timed out after %s waiting for %s to be intercepted; the intercept stays and goes on trying: kubectl intercept leave %s -n %s ends it",
			o.Timeout, o.workload, last.Name, last.Namespace)
	}
	return nil, err
}

// gist is a step without its details: with "pod quote-1: the image cannot be pulled"
// it has been said what keeps things, however often something is tried again and
// fails in other words.
func gist(step string) string {
	parts := strings.SplitN(step, ": ", 3)
	return strings.Join(parts[:min(2, len(parts))], ": ")
}

func (o *Options) interrupted() error {
	return fmt.Errorf("interrupted: %s is not intercepted", o.workload)
}

// gone waits until an intercept that is deleted has ended in every pod.
func (o *Options) gone(ctx context.Context, i *v1alpha1.Intercept, timeout time.Duration) error {
	err := target.FollowFor(ctx, timeout, o.client, client.ObjectKeyFromObject(i), func(now *v1alpha1.Intercept) (bool, error) {
		return now == nil || now.UID != i.UID, nil
	})
	if errors.Is(err, target.ErrTimeout) {
		return fmt.Errorf("intercept %q is being left and has not ended after %s: the traffic-manager goes on trying", i.Name, timeout)
	}
	return err
}

// judge says what an intercept is waiting for, whether it works, or why it
// never will.
func judge(i *v1alpha1.Intercept, pods int) (step string, done bool, err error) {
	if i.DeletionTimestamp != nil {
		return "", false, errGone
	}
	if i.Status.ObservedGeneration != i.Generation {
		return "", false, nil
	}
	resolved := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionResolved)
	agents := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionAgentsReady)
	active := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionActive)
	switch {
	case never(resolved):
		return "", false, &hopelessError{*resolved}
	case never(agents):
		return "", false, &hopelessError{*agents}
	case isTrue(agents) && isTrue(active):
		return "", true, nil
	case !isTrue(resolved):
		return "", false, nil
	case isTrue(agents) && active != nil && active.Reason == v1alpha1.ReasonDisconnected:
		return "waiting for the connection of this machine", false, nil
	case isTrue(agents) || agents != nil && agents.Reason == v1alpha1.ReasonVerifying:
		return "verifying", false, nil
	case agents != nil && (agents.Reason == v1alpha1.ReasonNoPods || agents.Reason == v1alpha1.ReasonAgentFailed || agents.Reason == v1alpha1.ReasonReplacing ||
		agents.Reason == v1alpha1.ReasonDisruptionBudget):
		return agents.Message, false, nil
	}
	return "attaching to " + render.Count(int64(max(pods, len(i.Status.Pods))), "pod"), false, nil
}

// never says whether a condition is false for a reason that stays.
func never(c *metav1.Condition) bool {
	return c != nil && c.Status == metav1.ConditionFalse && v1alpha1.MeaningOf(c.Reason) == v1alpha1.MeansFinal
}

func isTrue(c *metav1.Condition) bool { return c != nil && c.Status == metav1.ConditionTrue }

// undo takes back what apply did and returns why.
func (o *Options) undo(ctx context.Context, now, before *v1alpha1.Intercept, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoDeadline)
	defer cancel()
	if before == nil {
		if err := o.client.Delete(ctx, now, client.Preconditions{UID: &now.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("%w; the intercept could not be removed (%v): run kubectl intercept leave %s -n %s", why, err, now.Name, now.Namespace)
		}
		_ = o.gone(ctx, now, undoDeadline) // why is what matters
		return why
	}
	var latest v1alpha1.Intercept
	if err := o.client.Get(ctx, client.ObjectKeyFromObject(now), &latest); err != nil {
		return why
	}
	latest.Spec = before.Spec
	if err := o.client.Update(ctx, &latest); err != nil {
		return why
	}
	if o.back != nil {
		if err := o.back(ctx); err != nil {
			return fmt.Errorf("%w; the intercept keeps the ports it had, but the background process does not know: %v", why, err)
		}
	}
	return fmt.Errorf("%w; the intercept keeps the ports it had", why)
}
