package replacement

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/orphan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/denial"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// evict evicts a pod as far as PodDisruptionBudgets allow. Without an error it returns
// a problem: what is being done, or what keeps the pod.
func (c *Cluster) evict(ctx context.Context, p *corev1.Pod, last *lastAction, doing string) (*problem.Problem, error) {
	err := orphan.Evict(ctx, c.Client, p)
	if err == nil {
		c.Log.Info("pod evicted", "namespace", p.Namespace, "pod", p.Name)
		last.acted = time.Now()
		last.evicted = last.acted
	}
	return evicted(p, doing, err)
}

// tryEvict says what evict would, and leaves the pod alone.
func (c *Cluster) tryEvict(ctx context.Context, p *corev1.Pod, doing string) (*problem.Problem, error) {
	return evicted(p, doing, orphan.Evict(ctx, c.Client, p, client.DryRunAll))
}

// evicted sorts the API server's answers.
func evicted(p *corev1.Pod, doing string, err error) (*problem.Problem, error) {
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return waiting("%s", doing), nil
	case apierrors.IsTooManyRequests(err):
		return problem.New(v1alpha1.ReasonDisruptionBudget, "%s: a PodDisruptionBudget does not let it go yet: %v", doing, err), nil
	case denial.Is(err):
		return problem.New(v1alpha1.ReasonEvictionDenied, "%s does not let pod %s be evicted, which a sidecar needs: %v; "+
			"have the traffic-manager admitted there, delete the pod yourself (kubectl delete pod %s -n %s) to have it made anew with a sidecar, or use --inject ephemeral",
			denial.By(err.Error()), p.Name, err, p.Name, p.Namespace), nil
	}
	return nil, err
}
