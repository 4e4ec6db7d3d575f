package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Where Helm writes which release an object belongs to.
const (
	releaseNameAnnotation      = "meta.helm.sh/release-name"
	releaseNamespaceAnnotation = "meta.helm.sh/release-namespace"
	managedByLabel             = "app.kubernetes.io/managed-by"
)

// crdInterval is how often one looks whether definitions are gone.
const crdInterval = 200 * time.Millisecond

// claimCRDs makes definitions that an earlier, uninstalled release left into
// those of this one: they are kept on uninstall, and Helm would refuse them in
// another namespace. Definitions of a living release are an error that names
// the value which leaves them to it.
func (c *Client) claimCRDs(ctx context.Context, o Options, earlier map[string]any) error {
	if c.getter == nil || o.DryRun != DryRunNone || o.TakeOwnership || !wantsCRDs(o, earlier) {
		return nil
	}
	cfg, err := c.getter.ToRESTConfig()
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	return claim(ctx, dyn, c.namespace, func(name, namespace string) (bool, error) {
		_, err := driver.NewSecrets(clients.CoreV1().Secrets(namespace)).Query(map[string]string{"name": name, "owner": "helm"})
		if errors.Is(err, driver.ErrReleaseNotFound) {
			return false, nil
		}
		return true, err
	})
}

// claim is claimCRDs with its clients; alive tells whether a release exists.
func claim(ctx context.Context, dyn dynamic.Interface, namespace string, alive func(name, namespace string) (bool, error)) error {
	ours, err := definitions(ctx, dyn)
	if err != nil {
		return err
	}
	for _, crd := range ours {
		name := crd.GetName()
		ownerName := crd.GetAnnotations()[releaseNameAnnotation]
		ownerNamespace := crd.GetAnnotations()[releaseNamespaceAnnotation]
		if ownerName == ReleaseName && ownerNamespace == namespace {
			continue
		}
		if ownerName == "" {
			return fmt.Errorf("customresourcedefinition %s exists and was not made by Helm; "+
				"--set crds.create=false leaves it as it is, --take-ownership makes it this release's", name)
		}
		used, err := alive(ownerName, ownerNamespace)
		if err != nil {
			return fmt.Errorf("look for the owner of customresourcedefinition %s: %w", name, err)
		}
		if used {
			return fmt.Errorf("customresourcedefinition %s belongs to release %s in namespace %s; "+
				"--set crds.create=false leaves it to that one", name, ownerName, ownerNamespace)
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"labels":      map[string]any{managedByLabel: "Helm"},
			"annotations": map[string]any{releaseNameAnnotation: ReleaseName, releaseNamespaceAnnotation: namespace},
		}})
		if err != nil {
			return err
		}
		if _, err := dyn.Resource(crdResource()).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("take over customresourcedefinition %s: %w", name, err)
		}
	}
	return nil
}

// definitions are the CustomResourceDefinitions of the product that the cluster
// has.
func definitions(ctx context.Context, dyn dynamic.Interface) ([]unstructured.Unstructured, error) {
	list, err := dyn.Resource(crdResource()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list customresourcedefinitions: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(u unstructured.Unstructured) bool {
		return !strings.HasSuffix(u.GetName(), "."+v1alpha1.Group)
	}), nil
}

func crdResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
}

// DeleteCRDs deletes the definitions, and with them every object there is of
// them, and waits until they are gone. It returns their names. Objects with a
// finalizer that nobody takes off keep them.
func (c *Client) DeleteCRDs(ctx context.Context) ([]string, error) {
	cfg, err := c.getter.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return deleteCRDs(ctx, dyn)
}

func deleteCRDs(ctx context.Context, dyn dynamic.Interface) ([]string, error) {
	list, err := definitions(ctx, dyn)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(list))
	for _, crd := range list {
		names = append(names, crd.GetName())
		err := dyn.Resource(crdResource()).Delete(ctx, crd.GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("delete customresourcedefinition %s: %w", crd.GetName(), err)
		}
	}
	err = wait.PollUntilContextCancel(ctx, crdInterval, true, func(ctx context.Context) (bool, error) {
		list, err = definitions(ctx, dyn)
		return len(list) == 0, err
	})
	if errors.Is(err, context.DeadlineExceeded) && len(list) > 0 {
		return nil, fmt.Errorf("customresourcedefinition %s is still there: some of its objects are kept by a finalizer; "+
			"kubectl describe customresourcedefinition %[1]s says which", list[0].GetName())
	}
	return names, err
}

// wantsCRDs is the value crds.create, as it will be when the values of an
// earlier revision are counted in.
func wantsCRDs(o Options, earlier map[string]any) bool {
	if o.Reuse == ReuseNone {
		earlier = nil
	}
	for _, values := range []map[string]any{o.Values, earlier, o.Chart.defaults} {
		if create := crdsCreate(values); create != nil {
			return *create
		}
	}
	return true
}

// crdsCreate reads crds.create; nil if it is not there.
func crdsCreate(values chartutil.Values) *bool {
	v, err := values.PathValue("crds.create")
	if err != nil {
		return nil
	}
	if create, ok := v.(bool); ok {
		return &create
	}
	return nil
}
