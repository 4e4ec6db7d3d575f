package target

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/scope"
)

// ManagerName is the name of the ConfigMap and of the Deployment.
const ManagerName = "traffic-manager"

// Neighbor is a traffic-manager in another namespace of the cluster.
type Neighbor struct {
	// Namespace is its own.
	Namespace string
	// Namespaces are those it works in.
	Namespaces scope.Scope
}

// Managers lists the namespaces that have a traffic-manager.
func Managers(ctx context.Context, r client.Reader) ([]string, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := r.List(ctx, &list, client.MatchingLabels{"app.kubernetes.io/name": ManagerName, "app.kubernetes.io/part-of": "kubectl-intercept"}); err != nil {
		return nil, fmt.Errorf("look for traffic-managers: %w", err)
	}
	var namespaces []string
	for _, cm := range list.Items {
		if cm.Name == ManagerName {
			namespaces = append(namespaces, cm.Namespace)
		}
	}
	return namespaces, nil
}

// Neighbors lists the traffic-managers in other namespaces than one.
func Neighbors(ctx context.Context, clients kubernetes.Interface, namespace string) ([]Neighbor, error) {
	list, err := clients.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=" + ManagerName + ",app.kubernetes.io/part-of=kubectl-intercept",
		FieldSelector: "metadata.name=" + ManagerName})
	if err != nil {
		return nil, fmt.Errorf("look for other traffic-managers: %w", err)
	}
	var out []Neighbor
	for _, cm := range list.Items {
		if cm.Name != ManagerName || cm.Namespace == namespace {
			continue
		}
		out = append(out, Neighbor{Namespace: cm.Namespace, Namespaces: scope.Parse(cm.Data["namespaces"])})
	}
	return out, nil
}

// Serves says that the neighbor works in a namespace.
func (n *Neighbor) Serves(namespace string) bool {
	return n.Namespaces.Has(namespace)
}

// Overlap says why a traffic-manager for some namespaces cannot be beside the neighbor; nil
// if it can.
func (n *Neighbor) Overlap(namespaces scope.Scope) *Obstacle {
	shared, overlaps := namespaces.Shared(n.Namespaces)
	if !overlaps {
		return nil
	}
	o := &Obstacle{Reason: fmt.Sprintf("there is a traffic-manager already, in namespace %s, for %s; two in one namespace take each other's intercepts apart",
		n.Namespace, n.Namespaces)}
	switch {
	case len(n.Namespaces) == 0:
		o.Remedy = "everybody can use that one; for two side by side, both need a list of their own: --set namespaces='{…}'"
	case len(namespaces) == 0:
		o.Remedy = "this one needs a list of other namespaces: --set namespaces='{…}'"
	default:
		o.Remedy = "leave " + strings.Join(shared, ", ") + " out of namespaces"
	}
	return o
}
