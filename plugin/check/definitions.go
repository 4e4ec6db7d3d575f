package check

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

const definitionsHint = "kubectl intercept upgrade makes the CustomResourceDefinitions again; kubectl describe crd NAMES tells whether they are accepted"

// resources checks whether the CustomResourceDefinitions are established, and whether
// the API server serves their resources. If the user may not read
// CustomResourceDefinitions, it checks only the latter.
func (e *Env) resources(ctx context.Context) Outcome {
	names := []string{"intercepts." + v1alpha1.Group, "sessions." + v1alpha1.Group}
	for _, name := range names {
		crd := &unstructured.Unstructured{}
		crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		err := e.Client.Get(ctx, client.ObjectKey{Name: name}, crd)
		if apierrors.IsForbidden(err) {
			break
		}
		if apierrors.IsNotFound(err) {
			continue // judgeServed reports it
		}
		if err != nil {
			return failedToAsk("read customresourcedefinition "+name, err)
		}
		if why := unestablished(crd); why != "" {
			return fail("customresourcedefinition "+name+" "+why, strings.ReplaceAll(definitionsHint, "NAMES", name))
		}
	}
	list, err := e.Kube.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		err, list = nil, &metav1.APIResourceList{}
	}
	if err != nil {
		return fail(render.Error(err), "").unknown()
	}
	return judgeServed(list, names)
}

// unestablished returns the reason why the API server does not serve a
// CustomResourceDefinition, as the second half of a sentence. It returns "" if the API
// server does.
func unestablished(crd *unstructured.Unstructured) string {
	if crd.GetDeletionTimestamp() != nil {
		return "is being deleted, with all of its objects"
	}
	list, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	why := "is not established yet"
	for _, c := range list {
		condition, ok := c.(map[string]any)
		if !ok {
			continue
		}
		switch message, _ := condition["message"].(string); condition["type"] {
		case "Established":
			if condition["status"] == "True" {
				return ""
			}
		case "NamesAccepted":
			if condition["status"] == "False" && message != "" {
				why = "is not established: " + message
			}
		}
	}
	return why
}

func judgeServed(list *metav1.APIResourceList, names []string) Outcome {
	var lacks []string
	for _, name := range names {
		if resource, _, _ := strings.Cut(name, "."); !serves(list, resource) {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) > 0 {
		return fail("the API server does not serve "+strings.Join(lacks, " and "), strings.ReplaceAll(definitionsHint, "NAMES", strings.Join(lacks, " ")))
	}
	return ok("")
}
