package replacement

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// pass is what the Janitor has read in one pass. It reads the Intercepts of a
// namespace, and their workloads, once and only if it has to.
type pass struct {
	reader     client.Reader
	now        time.Time
	namespaces map[string]*intercepted
}

// intercepted are the Intercepts of a namespace, and the workload of each; nil for one
// that cannot be read. They are the cache's own, and must not be changed.
type intercepted struct {
	intercepts []v1alpha1.Intercept
	workloads  []*resolve.Workload
}

// intercepts are those of a namespace.
func (s *pass) intercepts(ctx context.Context, namespace string) ([]v1alpha1.Intercept, error) {
	n, err := s.namespace(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return n.intercepts, nil
}

func (s *pass) namespace(ctx context.Context, namespace string) (*intercepted, error) {
	if n := s.namespaces[namespace]; n != nil {
		return n, nil
	}
	var list v1alpha1.InterceptList
	if err := s.reader.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	if s.namespaces == nil {
		s.namespaces = map[string]*intercepted{}
	}
	n := &intercepted{intercepts: list.Items}
	s.namespaces[namespace] = n
	return n, nil
}

// of are the Intercepts of a pod's workload.
func (s *pass) of(ctx context.Context, p *corev1.Pod) ([]*v1alpha1.Intercept, error) {
	n, err := s.namespace(ctx, p.Namespace)
	if err != nil {
		return nil, err
	}
	if n.workloads == nil {
		for i := range n.intercepts {
			w, err := resolve.Get(ctx, s.reader, p.Namespace, n.intercepts[i].Spec.Workload)
			if err != nil {
				w = nil
			}
			n.workloads = append(n.workloads, w)
		}
	}
	var list []*v1alpha1.Intercept
	for i, w := range n.workloads {
		if w != nil && w.Matches(p) {
			list = append(list, &n.intercepts[i])
		}
	}
	return list, nil
}
