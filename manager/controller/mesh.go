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
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// byMesh says whether Sidecar objects lead to the agents of such pods.
func (r *Intercepts) byMesh(pod *metav1.ObjectMeta, ns *corev1.Namespace) bool {
	return r.Mesh != nil && webhook.ByMesh(mesh.Istio, pod, ns)
}

// meshObstacle says why the mesh cannot lead to the agents of a workload, whose
// pods will be like injected; nil when it can or need not.
func (r *Intercepts) meshObstacle(ctx context.Context, w *resolve.Workload, injected *corev1.Pod) (*problem, error) {
	if r.Mesh == nil || injected.Labels[mesh.PodLabel] == "" {
		return nil, nil
	}
	return forUser(r.Mesh.Check(ctx, redirectOf(w)))
}

// lead makes the mesh lead the ports of the workload that are intercepted, and
// no others, to the agents in pods that wait for it.
func (r *Intercepts) lead(ctx context.Context, w *resolve.Workload, pods []corev1.Pod) (*problem, error) {
	if r.Mesh == nil {
		return nil, nil
	}
	var list v1alpha1.InterceptList
	if err := r.Client.List(ctx, &list, client.InNamespace(w.Namespace)); err != nil {
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
			if other, err := resolve.Get(ctx, r.Client, ic.Namespace, ic.Spec.Workload); err != nil || !other.Matches(&newest[k]) {
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
		return nil, r.Mesh.Remove(ctx, w.Namespace, w.Ref.Name)
	}
	for _, p := range agents {
		to.Ports = append(to.Ports, p)
	}
	return forUser(r.Mesh.Apply(ctx, to))
}

// unlead is lead for an Intercept that is going.
func (r *Intercepts) unlead(ctx context.Context, ic *v1alpha1.Intercept) error {
	if r.Mesh == nil || ic.Status.Injection == v1alpha1.InjectEphemeral {
		return nil
	}
	w, err := resolve.Get(ctx, r.Client, ic.Namespace, ic.Spec.Workload)
	if apierrors.IsNotFound(err) {
		return r.Mesh.Remove(ctx, ic.Namespace, ic.Spec.Workload.Name)
	}
	if err != nil {
		return err
	}
	pods, err := w.Pods(ctx, r.Client)
	if err != nil {
		return err
	}
	_, err = r.lead(ctx, w, pods) // who is left hears of a conflict
	return err
}

func redirectOf(w *resolve.Workload) mesh.Redirect {
	return mesh.Redirect{Namespace: w.Namespace, Workload: w.Ref.Name, Labels: w.Labels, Selector: w.SelectorLabels()}
}

// meshed are the ports of an intercept at which the pod's agent waits for the
// mesh.
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

// forUser tells what the user can do something about from what is to be tried
// again.
func forUser(err error) (*problem, error) {
	var conflict *mesh.ConflictError
	switch {
	case errors.As(err, &conflict):
		return &problem{v1alpha1.ReasonSidecarConflict, conflict.Error()}, nil
	case errors.Is(err, mesh.ErrNoIstio):
		return &problem{v1alpha1.ReasonNotSupported, err.Error()}, nil
	}
	return nil, err
}
