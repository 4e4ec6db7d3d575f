package uninstall

import (
	"context"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// scope is where the traffic-manager that goes has worked: what is elsewhere
// belongs to another one.
type scope struct {
	// namespaces are those it serves; nil means all.
	namespaces []string
	neighbors  []target.Neighbor
}

// has says that nobody else works in a namespace.
func (s *scope) has(namespace string) bool {
	if s.namespaces != nil && !slices.Contains(s.namespaces, namespace) {
		return false
	}
	return !slices.ContainsFunc(s.neighbors, func(n target.Neighbor) bool { return n.Serves(namespace) })
}

// scope looks around; rel is nil if Helm knows of no release. With the
// definitions everything goes, and then there are no neighbors.
func (o *Options) scope(ctx context.Context, rel *helm.Release) (*scope, error) {
	s := &scope{}
	if o.DeleteCRDs {
		return s, nil
	}
	if rel != nil {
		s.namespaces = rel.Namespaces
	}
	var err error
	s.neighbors, err = target.Neighbors(ctx, o.Kube, o.Namespace)
	return s, err
}
