package intercept

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// undoDeadline bounds what happens after an error or Ctrl-C.
const undoDeadline = 10 * time.Second

var errGone = errors.New("somebody deleted the intercept while it was being set up")

// await follows the intercept until traffic arrives here, or bounded ends. It undoes what
// cannot succeed: it deletes an intercept that this command made, and gives an intercept
// that this command changed its former spec back. An intercept that only takes too long
// stays.
func (m *maker) await(ctx, bounded context.Context, i, before *v1alpha1.Intercept) (*v1alpha1.Intercept, error) {
	pods := 0
	if list, err := m.workload.Pods(ctx, m.client); err == nil {
		pods = len(list)
	}
	last, said := i, ""
	visit := func(now *v1alpha1.Intercept) (bool, error) {
		if now == nil {
			return false, errGone
		}
		last = now
		step, done, err := stateOf(now, pods)
		if gist := gist(step); gist != said {
			m.progress.Step(step)
			said = gist
		}
		return done, err
	}
	err := target.FollowFor(bounded, m.Timeout, m.client, client.ObjectKeyFromObject(i), visit)
	var final *finalError
	switch {
	case err == nil:
		m.warnOfStatus(last)
		return last, nil
	case errors.As(err, &final):
		return nil, m.undo(ctx, last, before, err)
	case ctx.Err() != nil:
		return nil, m.undo(ctx, last, before, m.interrupted())
	case errors.Is(err, target.ErrTimeout) && m.command != "":
		return nil, m.undo(ctx, last, before, fmt.Errorf("timed out after %s: %s", m.Timeout, cmp.Or(last.Status.Message, said)))
	case errors.Is(err, target.ErrTimeout):
		m.progress.Done()
		m.explain(ctx, last)
		return nil, fmt.Errorf("timed out after %s waiting for %s to be intercepted; the intercept stays and goes on trying: kubectl intercept leave %s -n %s ends it",
			m.Timeout, m.workload, last.Name, last.Namespace)
	}
	return nil, err
}

// gist is a step without its details. After "pod quote-1: the image cannot be pulled" the
// user knows the obstacle, and need not read it again when the next attempt fails in other
// words.
func gist(step string) string {
	parts := strings.SplitN(step, ": ", 3)
	return strings.Join(parts[:min(2, len(parts))], ": ")
}

func (m *maker) interrupted() error {
	return fmt.Errorf("interrupted: %s is not intercepted", m.workload)
}

// gone waits until an intercept that is deleted has ended in every pod.
func gone(ctx context.Context, c client.WithWatch, i *v1alpha1.Intercept, timeout time.Duration) error {
	err := target.FollowFor(ctx, timeout, c, client.ObjectKeyFromObject(i), func(now *v1alpha1.Intercept) (bool, error) {
		return now == nil || now.UID != i.UID, nil
	})
	if errors.Is(err, target.ErrTimeout) {
		return fmt.Errorf("intercept %q is being left and has not ended after %s: the traffic-manager goes on trying", i.Name, timeout)
	}
	return err
}

// undo takes back what apply did. The error is why, and what is left to do.
func (m *maker) undo(ctx context.Context, now, before *v1alpha1.Intercept, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoDeadline)
	defer cancel()
	if before == nil {
		if err := m.client.Delete(ctx, now, client.Preconditions{UID: &now.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("%w; the intercept could not be removed (%v): run kubectl intercept leave %s -n %s", why, err, now.Name, now.Namespace)
		}
		_ = gone(ctx, m.client, now, undoDeadline) // why is what matters
		return why
	}
	var latest v1alpha1.Intercept
	if err := m.client.Get(ctx, client.ObjectKeyFromObject(now), &latest); err != nil {
		return why
	}
	kept := "ports"
	if latest.Spec.Match != nil || before.Spec.Match != nil {
		kept = "ports and conditions"
	}
	latest.Spec = before.Spec
	if err := m.client.Update(ctx, &latest); err != nil {
		return why
	}
	if m.back != nil {
		if err := m.back(ctx); err != nil {
			return fmt.Errorf("%w; the intercept keeps the %s it had, but the background process does not know: %v", why, kept, err)
		}
	}
	return fmt.Errorf("%w; the intercept keeps the %s it had", why, kept)
}
