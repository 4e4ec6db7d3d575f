package controller

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// Mesh has the mesh send intercepted ports to the sidecars that wait for that.
type Mesh struct {
	// Client reads from the cache.
	Client client.Reader
	// Keeper keeps the Sidecar objects of Istio; nil without that mesh.
	Keeper *mesh.Keeper
}

// has says that Sidecar objects send callers of such pods to their agents.
func (m Mesh) has(pod *metav1.ObjectMeta, ns *corev1.Namespace) bool {
	return m.Keeper != nil && mesh.Istio.Redirects(pod, &ns.ObjectMeta)
}

// obstacle says why the mesh cannot send callers to the agents of a workload whose
// pods will be like injected; nil when it can or need not.
func (m Mesh) obstacle(ctx context.Context, w *resolve.Workload, injected *corev1.Pod) (*problem.Problem, error) {
	if m.Keeper == nil || injected.Labels[mesh.PodLabel] == "" {
		return nil, nil
	}
	return forUser(m.Keeper.Check(ctx, redirectOf(w)))
}

// apply has the mesh send the intercepted ports of the workload, and no others, to the
// agents in pods that wait for that.
func (m Mesh) apply(ctx context.Context, w *resolve.Workload, pods []corev1.Pod) (*problem.Problem, error) {
	if m.Keeper == nil {
		return nil, nil
	}
	var list v1alpha1.InterceptList
	if err := m.Client.List(ctx, &list, client.InNamespace(w.Namespace)); err != nil {
		return nil, err
	}
	to := redirectOf(w)
	agents := map[uint16]mesh.Port{}
	newest := slices.Clone(pods)
	slices.SortFunc(newest, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for i := range list.Items {
		ic := &list.Items[i]
		if ic.DeletionTimestamp != nil || ic.Status.Injection != v1alpha1.InjectSidecar {
			continue
		}
		wanted := false
		for k := range newest {
			if other, err := resolve.Get(ctx, m.Client, ic.Namespace, ic.Spec.Workload); err != nil || !other.Matches(&newest[k]) {
				continue
			}
			for _, p := range meshed(&newest[k], ic) {
				agents[p.Number], wanted = p, true
			}
		}
		if wanted {
			to.Intercepts = append(to.Intercepts, ic)
		}
	}
	if len(agents) == 0 {
		return nil, m.Keeper.Remove(ctx, w.Namespace, w.Ref.Name)
	}
	for _, p := range agents {
		to.Ports = append(to.Ports, p)
	}
	return forUser(m.Keeper.Apply(ctx, to))
}

// remove is apply without an Intercept that is going.
func (m Mesh) remove(ctx context.Context, ic *v1alpha1.Intercept) error {
	if m.Keeper == nil || ic.Status.Injection == v1alpha1.InjectEphemeral {
		return nil
	}
	w, err := resolve.Get(ctx, m.Client, ic.Namespace, ic.Spec.Workload)
	if apierrors.IsNotFound(err) {
		return m.Keeper.Remove(ctx, ic.Namespace, ic.Spec.Workload.Name)
	}
	if err != nil {
		return err
	}
	pods, err := w.Pods(ctx, m.Client)
	if err != nil {
		return err
	}
	_, err = m.apply(ctx, w, pods) // a conflict is for the Intercepts that are left
	return err
}

func redirectOf(w *resolve.Workload) mesh.Redirect {
	return mesh.Redirect{Namespace: w.Namespace, Workload: w.Ref.Name, Labels: w.Labels, Selector: w.SelectorLabels()}
}

// meshed are the ports of an Intercept that the mesh has to send to the pod's agent.
func meshed(pod *corev1.Pod, ic *v1alpha1.Intercept) []mesh.Port {
	s := sidecar.Of(pod)
	if s == nil {
		return nil
	}
	var out []mesh.Port
	for _, r := range ic.Status.Ports {
		n := resolve.PortIn(pod, r)
		for _, p := range s.Ports {
			if p.Mesh && int32(p.Number) == n {
				out = append(out, mesh.Port{Number: p.Number, Agent: p.Agent})
			}
		}
	}
	return out
}

// forUser makes a problem of an error that the user has to do something about. Others
// are tried again.
func forUser(err error) (*problem.Problem, error) {
	var conflict *mesh.ConflictError
	switch {
	case errors.As(err, &conflict):
		return problem.New(v1alpha1.ReasonSidecarConflict, "%v", conflict), nil
	case errors.Is(err, mesh.ErrNoIstio):
		return problem.New(v1alpha1.ReasonNotSupported, "%v", err), nil
	}
	return nil, err
}
