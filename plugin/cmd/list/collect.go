package list

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// collect reads everything with one list per resource.
func (o *Options) collect(ctx context.Context) ([]Workload, error) {
	var (
		workloads  []*resolve.Workload
		services   corev1.ServiceList
		pods       corev1.PodList
		intercepts []v1alpha1.Intercept
	)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		workloads, err = target.Workloads(gctx, o.client, o.namespace)
		return err
	})
	g.Go(func() (err error) {
		intercepts, err = target.Intercepts(gctx, o.client, o.namespace, o.factory.ManagerNamespace)
		return err
	})
	g.Go(func() error { return o.client.List(gctx, &services, client.InNamespace(o.namespace)) })
	g.Go(func() error { return o.client.List(gctx, &pods, client.InNamespace(o.namespace)) })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var rows []Workload
	for _, w := range workloads {
		row := newRow(w.Namespace, w.Ref)
		if reason := obstacle(w, services.Items, pods.Items); reason != "" {
			row.State, row.Message = Impossible, "not interceptable: "+reason
		}
		rows = append(rows, row)
	}
	for _, i := range intercepts {
		at := slices.IndexFunc(rows, func(r Workload) bool { return r.Namespace == i.Namespace && r.Workload == i.Spec.Workload })
		if at < 0 {
			// a Service of several workloads, a pod that has an owner
			at = len(rows)
			rows = append(rows, newRow(i.Namespace, i.Spec.Workload))
		}
		i.ManagedFields = nil
		row := &rows[at]
		row.Intercepts = append(row.Intercepts, i)
		row.State, row.Message = Intercepted, owners(row.Intercepts, o.user)
	}
	slices.SortStableFunc(rows, func(a, b Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(resolve.RefString(a.Workload), resolve.RefString(b.Workload)))
	})
	return rows, nil
}

func newRow(namespace string, ref v1alpha1.WorkloadReference) Workload {
	return Workload{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Workload"},
		ObjectMeta: metav1.ObjectMeta{Name: ref.Name, Namespace: namespace},
		Workload:   ref, State: Ready, Message: "ready to intercept",
	}
}

// obstacle says why a workload cannot be intercepted, or nothing.
func obstacle(w *resolve.Workload, services []corev1.Service, pods []corev1.Pod) string {
	if reason := resolve.Obstacle(w); reason != "" {
		return reason
	}
	ports := slices.ContainsFunc(w.Spec.Containers, func(c corev1.Container) bool { return len(c.Ports) > 0 })
	here := slices.DeleteFunc(slices.Clone(services), func(s corev1.Service) bool { return s.Namespace != w.Namespace })
	if !ports && len(resolve.Selecting(here, w)) == 0 {
		return "no Service and no container port"
	}
	lives := func(p corev1.Pod) bool {
		return p.Namespace == w.Namespace && p.DeletionTimestamp == nil && w.Matches(&p) &&
			p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
	}
	if !slices.ContainsFunc(pods, lives) {
		return "no pods"
	}
	return ""
}

// owners is "intercepted", by whom unless it is only the user, and in which
// state unless it simply works.
func owners(all []v1alpha1.Intercept, user string) string {
	mine, others := false, []string{}
	var troubles []string
	for _, i := range all {
		if i.Spec.User == user {
			mine = true
		} else if !slices.Contains(others, i.Spec.User) {
			others = append(others, i.Spec.User)
		}
		if s := render.State(&i); s != v1alpha1.StateActive {
			troubles = append(troubles, strings.ToLower(string(s)))
		}
	}
	s := "intercepted"
	switch {
	case mine && len(others) > 0:
		s += ", also by " + strings.Join(others, ", ")
	case len(others) > 0:
		s += " by " + strings.Join(others, ", ")
	}
	if len(troubles) > 0 {
		slices.Sort(troubles)
		s += " (" + strings.Join(slices.Compact(troubles), ", ") + ")"
	}
	return s
}
