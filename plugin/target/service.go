package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Find reads the workload that ref names. A Service stands for the one
// workload behind it, in which case its name is returned too; a Service with
// pods of several owners, or of none, stays what it is.
func Find(ctx context.Context, r client.Reader, namespace string, ref v1alpha1.WorkloadReference) (*resolve.Workload, string, error) {
	service := ""
	if ref.Kind == "Service" {
		behind, err := behind(ctx, r, namespace, ref.Name)
		if err != nil {
			return nil, "", unknown(ctx, r, namespace, ref, err)
		}
		if behind != nil {
			return behind, ref.Name, nil
		}
	}
	w, err := resolve.Get(ctx, r, namespace, ref)
	if err != nil {
		return nil, "", unknown(ctx, r, namespace, ref, err)
	}
	if err := w.NoPods(); err != nil {
		return nil, "", err
	}
	return w, service, nil
}

// FindAll is Find for a command that wants every workload of a Service, also one that comes
// later: a Service that has pods stays what it is.
func FindAll(ctx context.Context, r client.Reader, namespace string, ref v1alpha1.WorkloadReference) (*resolve.Workload, string, error) {
	if ref.Kind == "Service" {
		if w, err := resolve.Get(ctx, r, namespace, ref); err == nil && w.NoPods() == nil {
			return w, "", nil
		}
	}
	return Find(ctx, r, namespace, ref)
}

// behind is the only workload that all pods of a Service belong to, or nil.
func behind(ctx context.Context, r client.Reader, namespace, name string) (*resolve.Workload, error) {
	var svc corev1.Service
	if err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &svc); err != nil {
		return nil, err
	}
	if len(svc.Spec.Selector) == 0 {
		return nil, nil
	}
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	all, err := Workloads(ctx, r, namespace)
	if err != nil {
		return nil, err
	}
	var only *resolve.Workload
	for _, w := range all.Workloads {
		if !resolve.Selects(&svc, w.Labels) {
			continue
		}
		if only != nil {
			return nil, nil
		}
		only = w
	}
	if only == nil {
		return nil, nil
	}
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, err
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; resolve.Lives(p) && !only.Matches(p) {
			return nil, nil
		}
	}
	return only, nil
}

// Owners are the workloads whose pods a workload has, as people name them: for a
// Service they may be several of those that are listed. Pods of others stand for
// themselves.
func Owners(ctx context.Context, r client.Reader, w *resolve.Workload, all *Listing) ([]string, error) {
	pods, err := w.Pods(ctx, r)
	if err != nil {
		return nil, err
	}
	var owners []string
	for i := range pods {
		name := "pod/" + pods[i].Name
		if k := slices.IndexFunc(all.Workloads, func(o *resolve.Workload) bool { return o.Matches(&pods[i]) }); k >= 0 {
			name = all.Workloads[k].String()
		}
		owners = append(owners, name)
	}
	slices.Sort(owners)
	return slices.Compact(owners), nil
}

// NotFoundError says that there is no such workload, and which are near.
type NotFoundError struct {
	Ref       v1alpha1.WorkloadReference
	Namespace string
	Near      []string
}

// Error names what was asked for and what may have been meant.
func (e *NotFoundError) Error() string {
	s := fmt.Sprintf("%s not found in namespace %q", resolve.RefString(e.Ref), e.Namespace)
	if len(e.Near) > 0 {
		s += "; did you mean " + strings.Join(e.Near, " or ") + "?"
	}
	return s
}

// unknown turns the API's NotFound about ref into a NotFoundError. Near names
// are a courtesy: if they cannot be read there are none.
func unknown(ctx context.Context, r client.Reader, namespace string, ref v1alpha1.WorkloadReference, err error) error {
	if !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
		return err
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		if n := status.Status().Details.Name; n != "" && n != ref.Name {
			return err // something else is missing
		}
	}
	e := &NotFoundError{Ref: ref, Namespace: namespace}
	kinds := map[string][]string{}
	var names []string
	if ref.Kind == "Service" {
		var list corev1.ServiceList
		if r.List(ctx, &list, client.InNamespace(namespace)) == nil {
			for _, s := range list.Items {
				names = append(names, s.Name)
				kinds[s.Name] = []string{"service/" + s.Name}
			}
		}
	} else if all, err := Workloads(ctx, r, namespace); err == nil {
		for _, w := range all.Workloads {
			names = append(names, w.Ref.Name)
			kinds[w.Ref.Name] = append(kinds[w.Ref.Name], w.String())
		}
	}
	for _, name := range Near(ref.Name, names) {
		e.Near = append(e.Near, kinds[name]...)
	}
	return e
}
