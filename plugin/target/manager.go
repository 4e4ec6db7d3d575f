package target

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/scope"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// NotInstalledError says that there is no traffic-manager where it was looked
// for.
type NotInstalledError struct{ Namespace string }

// Error says what to run.
func (e *NotInstalledError) Error() string {
	return fmt.Sprintf("traffic-manager is not installed in namespace %q: run kubectl intercept install", e.Namespace)
}

// Installation is what the traffic-manager says of itself, in the ConfigMap
// that the chart keeps for that.
type Installation struct {
	// Namespace is where it is, Release the Helm release's name.
	Namespace, Release string
	// Version of the traffic-manager, "unknown" if the ConfigMap has none.
	Version string
	// Namespaces are those it works in.
	Namespaces scope.Scope
	// GlobalForbidden are those in which it forbids intercepts that take all traffic
	// of a port, "*" for all.
	GlobalForbidden []string
	// OpenNetwork says that connected machines may dial everything.
	OpenNetwork bool
	// PreviewDomain is the domain of preview URLs; "" if there are none.
	PreviewDomain string
	// Client is the chart's configuration of machines that connect, in YAML.
	Client string
	// License is nil until the traffic-manager has looked at it.
	License *license.Report
}

// Manages says that the traffic-manager works in a namespace.
func (i *Installation) Manages(namespace string) bool {
	return i.Namespaces.Has(namespace)
}

// ForbidsGlobal says that an intercept in a namespace may not take all traffic of
// a port.
func (i *Installation) ForbidsGlobal(namespace string) bool {
	return slices.Contains(i.GlobalForbidden, "*") || slices.Contains(i.GlobalForbidden, namespace)
}

// Installed reads the Installation in a namespace. A missing one is a
// NotInstalledError.
func Installed(ctx context.Context, r client.Reader, namespace string) (*Installation, error) {
	var cm corev1.ConfigMap
	err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ManagerName}, &cm)
	if apierrors.IsNotFound(err) {
		return nil, &NotInstalledError{Namespace: namespace}
	}
	if apierrors.IsForbidden(err) && gone(ctx, r, namespace) { // with the Role that allowed it
		return nil, &NotInstalledError{Namespace: namespace}
	}
	if err != nil {
		return nil, err
	}
	report, err := license.Read(&cm)
	if err != nil {
		return nil, err
	}
	return &Installation{
		Namespace:       namespace,
		Release:         cmp.Or(cm.Labels["app.kubernetes.io/instance"], ManagerName),
		Version:         cmp.Or(cm.Data["version"], "unknown"),
		Namespaces:      scope.Parse(cm.Data["namespaces"]),
		GlobalForbidden: strings.FieldsFunc(cm.Data["forbidGlobalIntercepts"], func(r rune) bool { return r == ',' }),
		OpenNetwork:     cm.Data["openNetwork"] == "true",
		PreviewDomain:   cm.Data["previewDomain"],
		Client:          cm.Data["client.yaml"],
		License:         report,
	}, nil
}

// Manager returns the version of the Installation.
func Manager(ctx context.Context, r client.Reader, namespace string) (string, error) {
	i, err := Installed(ctx, r, namespace)
	if err != nil {
		return "", err
	}
	return i.Version, nil
}

// Intercepts lists the intercepts of a namespace, or of all when it is "". A
// cluster without the resource has no traffic-manager.
func Intercepts(ctx context.Context, r client.Reader, namespace, managerNamespace string) ([]v1alpha1.Intercept, error) {
	var list v1alpha1.InterceptList
	err := r.List(ctx, &list, client.InNamespace(namespace))
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, &NotInstalledError{Namespace: managerNamespace}
	}
	return list.Items, err
}

// VisibleIntercepts is Intercepts of all namespaces, or of the one given
// where the user may not read all.
func VisibleIntercepts(ctx context.Context, r client.Reader, namespace, managerNamespace string) ([]v1alpha1.Intercept, error) {
	all, err := Intercepts(ctx, r, "", managerNamespace)
	if apierrors.IsForbidden(err) {
		return Intercepts(ctx, r, namespace, managerNamespace)
	}
	return all, err
}

// User is the name the API server knows the caller by.
func User(ctx context.Context, c client.Client) (string, error) {
	info, err := UserInfo(ctx, c)
	return info.Username, err
}

// UserInfo is all that the API server knows of the caller.
func UserInfo(ctx context.Context, c client.Client) (authenticationv1.UserInfo, error) {
	var review authenticationv1.SelfSubjectReview
	if err := c.Create(ctx, &review); err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("ask the API server who you are: %w", err)
	}
	return review.Status.UserInfo, nil
}
