package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// ErrNoIstio says that the cluster does not know Sidecar objects.
var ErrNoIstio = errors.New("the cluster serves no networking.istio.io Sidecar: install Istio, or set trafficManager.serviceMesh.type to none")

// sweepEvery is how often the leader looks for objects that nobody wants.
const sweepEvery = time.Minute

// Keeper keeps the Sidecar objects of a cluster. It is a runnable of the leader:
// it removes those that are left over.
type Keeper struct {
	// Client reads from the API server.
	Client client.Client
	// Namespace is the traffic-manager's own.
	Namespace string
	// Managed are the namespaces with workloads; empty for all.
	Managed []string
	Log     *slog.Logger
}

// Check says what would keep Apply from making the object of a redirect.
func (k *Keeper) Check(ctx context.Context, r Redirect) error {
	list, _, err := k.list(ctx, client.InNamespace(r.Namespace))
	if err != nil {
		return err
	}
	return r.Conflict(list, k.Namespace)
}

// Apply makes or updates the object of a redirect. A *ConflictError or ErrNoIstio
// is for the user.
func (k *Keeper) Apply(ctx context.Context, r Redirect) error {
	list, version, err := k.list(ctx, client.InNamespace(r.Namespace))
	if err != nil {
		return err
	}
	if err := r.Conflict(list, k.Namespace); err != nil {
		return err
	}
	want := r.Sidecar(version, k.Namespace)
	for i := range list {
		have := &list[i]
		if have.GetName() != want.GetName() {
			continue
		}
		if same(have, want) {
			return nil
		}
		want.SetResourceVersion(have.GetResourceVersion())
		if err := k.Client.Update(ctx, want); err != nil {
			return fmt.Errorf("update sidecar %s: %w", want.GetName(), err)
		}
		k.Log.Info("sidecar updated", "namespace", r.Namespace, "name", want.GetName(), "ports", r.Ports)
		return nil
	}
	if err := k.Client.Create(ctx, want); err != nil {
		return fmt.Errorf("create sidecar %s: %w", want.GetName(), err)
	}
	k.Log.Info("sidecar created", "namespace", r.Namespace, "name", want.GetName(), "ports", r.Ports)
	return nil
}

// Remove deletes the object of a workload, if it is ours and there is one.
func (k *Keeper) Remove(ctx context.Context, namespace, workload string) error {
	list, _, err := k.list(ctx, client.InNamespace(namespace))
	if errors.Is(err, ErrNoIstio) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range list {
		if u := &list[i]; u.GetName() == SidecarName(workload) && ours(u, k.Namespace) {
			return k.delete(ctx, u)
		}
	}
	return nil
}

func (k *Keeper) delete(ctx context.Context, u *unstructured.Unstructured) error {
	uid := u.GetUID()
	err := k.Client.Delete(ctx, u, client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete sidecar %s: %w", u.GetName(), err)
	}
	k.Log.Info("sidecar removed", "namespace", u.GetNamespace(), "name", u.GetName())
	return nil
}

// Sweep removes our objects whose Intercepts are all gone or going.
func (k *Keeper) Sweep(ctx context.Context) error {
	namespaces := k.Managed
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	var failed error
	for _, ns := range namespaces {
		failed = errors.Join(failed, k.sweep(ctx, ns))
	}
	return failed
}

func (k *Keeper) sweep(ctx context.Context, namespace string) error {
	list, _, err := k.list(ctx, client.InNamespace(namespace), client.MatchingLabels{createdByLabel: createdBy, managerLabel: k.Namespace})
	if errors.Is(err, ErrNoIstio) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var intercepts v1alpha1.InterceptList
	if err := k.Client.List(ctx, &intercepts, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("list intercepts: %w", err)
	}
	live := map[string]bool{}
	for i := range intercepts.Items {
		if ic := &intercepts.Items[i]; ic.DeletionTimestamp == nil {
			live[string(ic.UID)] = true
		}
	}
	var failed error
	for i := range list {
		wanted := false
		for _, o := range list[i].GetOwnerReferences() {
			wanted = wanted || live[string(o.UID)]
		}
		if !wanted {
			failed = errors.Join(failed, k.delete(ctx, &list[i]))
		}
	}
	return failed
}

// Start sweeps until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := k.Sweep(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn("look for sidecars that nobody wants", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// NeedLeaderElection says that one replica is enough.
func (k *Keeper) NeedLeaderElection() bool { return true }

// list lists in the first of versions that the cluster serves, and says which it
// is. What the client remembers of the cluster may be old.
func (k *Keeper) list(ctx context.Context, opts ...client.ListOption) ([]unstructured.Unstructured, string, error) {
	for _, v := range versions() {
		gvk := kind().WithVersion(v)
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk)
		_, err := k.Client.RESTMapper().RESTMapping(kind(), v)
		if err == nil {
			err = k.Client.List(ctx, list, opts...)
		}
		switch {
		case err == nil:
			return list.Items, v, nil
		case !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err):
			return nil, "", fmt.Errorf("list sidecars: %w", err)
		}
	}
	return nil, "", ErrNoIstio
}

// same compares what we decide about an object.
func same(have, want *unstructured.Unstructured) bool {
	return reflect.DeepEqual(have.Object["spec"], want.Object["spec"]) &&
		reflect.DeepEqual(have.GetLabels(), want.GetLabels()) &&
		reflect.DeepEqual(have.GetOwnerReferences(), want.GetOwnerReferences())
}
