package list

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// collect reads everything with one list per resource. What the user may not list
// is left out, and said once.
func (o *Options) collect(ctx context.Context) ([]Workload, error) {
	var (
		found      *target.Listing
		manager    *target.Installation
		intercepts []v1alpha1.Intercept
		blind      bool // the user may not list intercepts
	)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		found, err = target.Workloads(gctx, o.client, o.namespace, o.labels()...)
		return err
	})
	g.Go(func() (err error) {
		manager, err = target.InstalledIfReadable(gctx, o.client, o.factory.ManagerNamespace)
		return err
	})
	g.Go(func() (err error) {
		intercepts, err = target.Intercepts(gctx, o.client, o.namespace, o.factory.ManagerNamespace)
		blind, err = forbidden(err)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if blind {
		found.Unlisted = append(found.Unlisted, "intercepts."+v1alpha1.Group)
	}
	o.sayGap(found)
	hidden := slices.Contains(found.Unlisted, "pods")
	var rows []Workload
	for _, w := range found.Workloads {
		row := newRow(w.Namespace, w.Ref)
		switch obstacle := manager.WorkloadObstacle(w); {
		case obstacle != nil:
			row.State, row.Message = Impossible, "not interceptable: "+obstacle.Reason
		case !hidden && !lives(w, found.Pods):
			row.State, row.Message = Impossible, "not interceptable: no pods"
		case blind:
			row.State, row.Message = Unknown, "not known: you may not list intercepts"
		case manager.GlobalObstacle(w.Namespace) != nil:
			row.Message = "ready to intercept with --match"
		}
		rows = append(rows, row)
	}
	for _, i := range intercepts {
		at := slices.IndexFunc(rows, func(r Workload) bool { return r.Namespace == i.Namespace && r.Workload == i.Spec.Workload })
		if at < 0 {
			if !o.selector.Empty() {
				continue // it is another workload's
			}
			// a Service of several workloads, a pod that has an owner
			at = len(rows)
			rows = append(rows, newRow(i.Namespace, i.Spec.Workload))
		}
		i.ManagedFields = nil
		row := &rows[at]
		row.Intercepts = append(row.Intercepts, i)
		row.State, row.Message, row.user = Intercepted, owners(row.Intercepts, o.user), o.user
	}
	slices.SortStableFunc(rows, func(a, b Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(resolve.RefString(a.Workload), resolve.RefString(b.Workload)))
	})
	return rows, nil
}

// labels are the option that chooses workloads, if --selector was given.
func (o *Options) labels() []client.ListOption {
	if o.selector.Empty() {
		return nil
	}
	return []client.ListOption{client.MatchingLabelsSelector{Selector: o.selector}}
}

// forbidden makes a refusal a fact instead of an error.
func forbidden(err error) (bool, error) {
	if apierrors.IsForbidden(err) {
		return true, nil
	}
	return false, err
}

// sayGap warns, once, about what is missing from the list.
func (o *Options) sayGap(found *target.Listing) {
	if o.warned {
		return
	}
	if gap := found.Gap(o.namespace, o.factory.Serves); gap != "" {
		o.warned = true
		o.warn(gap)
	}
}

// warn may be called from any goroutine.
func (o *Options) warn(text string) {
	o.warning.Lock()
	defer o.warning.Unlock()
	render.Warn(o.ErrOut, text)
}

func newRow(namespace string, ref v1alpha1.WorkloadReference) Workload {
	return Workload{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Workload"},
		ObjectMeta: metav1.ObjectMeta{Name: ref.Name, Namespace: namespace},
		Workload:   ref, State: Ready, Message: "ready to intercept",
	}
}

// lives says whether a workload has pods that are neither finished nor going away.
func lives(w *resolve.Workload, pods []corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		return p.Namespace == w.Namespace && resolve.Lives(&p) && w.Matches(&p)
	})
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
	s := "ingested"
	switch {
	case slices.ContainsFunc(all, func(i v1alpha1.Intercept) bool { return i.Spec.Mode == v1alpha1.ModeReplace }):
		s = "replaced"
	case slices.ContainsFunc(all, func(i v1alpha1.Intercept) bool { return !mirrors(&i) && !ingests(&i) }):
		s = "intercepted"
	case slices.ContainsFunc(all, func(i v1alpha1.Intercept) bool { return mirrors(&i) }):
		s = "mirrored"
	}
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

// mirrors says that an intercept copies, and takes nothing.
func mirrors(i *v1alpha1.Intercept) bool { return i.Spec.Mode == v1alpha1.ModeMirror }

// ingests says that an intercept takes nothing, and no copies either.
func ingests(i *v1alpha1.Intercept) bool { return i.Spec.Mode == v1alpha1.ModeIngest }
