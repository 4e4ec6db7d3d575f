package helm

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Where GitOps tools write what an object belongs to.
const (
	argoTracking  = "argocd.argoproj.io/tracking-id" // APP:GROUP/KIND:NAMESPACE/NAME
	argoInstance  = "argocd.argoproj.io/instance"
	fluxRelease   = "helm.toolkit.fluxcd.io/"
	fluxKustomize = "kustomize.toolkit.fluxcd.io/"
)

// CheckGitOps returns an error if Argo CD or Flux manages the traffic-manager of
// a namespace: what is changed here, they change back. r is the release, nil if
// Helm knows of none.
func CheckGitOps(ctx context.Context, clients kubernetes.Interface, namespace string, r *Release) error {
	owner := ""
	if r != nil {
		owner = gitops(nil, r.Labels)
	}
	if owner == "" {
		d, err := clients.AppsV1().Deployments(namespace).Get(ctx, ReleaseName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read deployment %s: %w", ReleaseName, err)
		}
		owner = gitops(d.Annotations, d.Labels)
	}
	if owner == "" {
		return nil
	}
	return fmt.Errorf("%s in namespace %s is managed by %s: change it there, or it will be changed back; --force goes on",
		ReleaseName, namespace, owner)
}

// gitops names who manages an object, empty if nobody does.
func gitops(annotations, labels map[string]string) string {
	if id := annotations[argoTracking]; id != "" {
		app, _, _ := strings.Cut(id, ":")
		return "Argo CD, application " + app
	}
	if app := labels[argoInstance]; app != "" {
		return "Argo CD, application " + app
	}
	if name := labels[fluxRelease+"name"]; name != "" {
		return "Flux, helmrelease " + labels[fluxRelease+"namespace"] + "/" + name
	}
	if name := labels[fluxKustomize+"name"]; name != "" {
		return "Flux, kustomization " + labels[fluxKustomize+"namespace"] + "/" + name
	}
	return ""
}
