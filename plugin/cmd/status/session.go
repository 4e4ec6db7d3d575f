package status

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Sessions finds the background process of the kube context.
type Sessions interface {
	// Find returns nil when none runs.
	Find(ctx context.Context, f *kube.Factory) (*session.Status, error)
	// Asked says that one which is dead had given programs access to the cluster,
	// and that the next one will.
	Asked(f *kube.Factory) (bool, error)
}
