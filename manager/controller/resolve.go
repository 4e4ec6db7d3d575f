package controller

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// resolve finds the workload and the ports. Where it refuses, the ports are those that
// were found before.
func (r *Intercepts) resolve(ctx context.Context, ic *v1alpha1.Intercept) (*resolve.Workload, resolution, *problem.Problem, error) {
	found := resolution{workload: resolve.RefString(ic.Spec.Workload), ports: ic.Status.Ports, probePorts: ic.Status.ProbePorts}
	w, err := resolve.Get(ctx, r.Client, ic.Namespace, ic.Spec.Workload)
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		return nil, found, problem.New(v1alpha1.ReasonWorkloadNotFound, "%s does not exist in namespace %q", found.workload, ic.Namespace), nil
	case err != nil:
		return nil, found, nil, err
	}
	if err := w.NoPods(); err != nil {
		if !plan.Accepted(ic) { // the ports of this spec were never found
			return nil, found, problem.New(v1alpha1.ReasonNoPods, "%v", err), nil
		}
		return w, found, nil, nil
	}
	if reason := resolve.Obstacle(w); reason != "" {
		return nil, found, problem.New(v1alpha1.ReasonNotSupported, "%s cannot be intercepted: %s", found.workload, reason), nil
	}
	services, err := resolve.Services(ctx, r.Client, w)
	if err != nil {
		return nil, found, nil, err
	}
	ports, err := resolve.Ports(w, services, ic.Spec.Service, ic.Spec.Ports)
	var pe *resolve.PortError
	if errors.As(err, &pe) {
		return nil, found, problem.New(v1alpha1.ReasonPortNotFound, "%v", pe), nil
	}
	if err != nil {
		return nil, found, nil, err
	}
	found.ports, found.probePorts = ports, probePorts(ic, w, ports)
	return w, found, nil, nil
}
