//go:build e2e

package e2e

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// define puts a CustomResourceDefinition into the cluster until the test ends, and
// returns when every version of it that is to be served takes objects. One of the
// same name that was there before is gone then: the API server goes on with what
// it has known for a while, and forgets it in a moment of its own.
func define(l *lab.Lab, crd *unstructured.Unstructured) {
	l.Helper()
	spec := crd.Object["spec"].(map[string]any)
	names := spec["names"].(map[string]any)
	served := map[string]bool{}
	for _, v := range spec["versions"].([]any) {
		v := v.(map[string]any)
		served[v["name"].(string)] = v["served"].(bool)
	}
	kind := func(version string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: spec["group"].(string), Version: version, Kind: names["kind"].(string)}
	}
	answers := func(version string) error {
		list := &unstructured.UnstructuredList{}
		k := kind(version)
		k.Kind += "List"
		list.SetGroupVersionKind(k)
		return l.Client.List(l.Context(), list, client.InNamespace(l.Namespace))
	}
	remove := func() error {
		return client.IgnoreNotFound(l.Client.Delete(context.Background(), crd.DeepCopy()))
	}
	l.Must(remove())
	l.Until("the definition of before is forgotten", func() error {
		err := l.Client.Get(l.Context(), client.ObjectKeyFromObject(crd), crd.DeepCopy())
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there: %v", err)
		}
		for v := range served {
			// The client itself may know already that there is no such kind.
			if err := answers(v); !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
				return fmt.Errorf("version %s is served: %v", v, err)
			}
		}
		return nil
	})
	l.Must(l.Client.Create(l.Context(), crd.DeepCopy()))
	l.Cleanup(func() {
		if err := remove(); err != nil {
			l.Error(err)
		}
	})
	l.Until("the definition is established", func() error {
		now := crd.DeepCopy()
		if err := l.Client.Get(l.Context(), client.ObjectKeyFromObject(crd), now); err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(now.Object, "status", "conditions")
		for _, c := range conditions {
			if c := c.(map[string]any); c["type"] == "Established" && c["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", conditions)
	})
	for v, is := range served {
		if !is {
			continue
		}
		l.Until("version "+v+" takes objects", func() error {
			if err := answers(v); err != nil {
				return err
			}
			o := &unstructured.Unstructured{}
			o.SetGroupVersionKind(kind(v))
			o.SetNamespace(l.Namespace)
			o.SetName("probe")
			return l.Client.Create(l.Context(), o, client.DryRunAll)
		})
	}
}
