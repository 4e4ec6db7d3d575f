package status

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Sessions finds the background processes.
type Sessions interface {
	// Find returns nil when none runs for the kube context. An error may be about
	// the kubeconfig.
	Find(ctx context.Context, f *kube.Factory) (*session.Status, error)
	// Asked says that one which is dead had given programs access to the cluster,
	// and that the next one will.
	Asked(ctx context.Context, f *kube.Factory) (bool, error)
	// Headers asks the agents of an intercept of the session which headers there were.
	Headers(ctx context.Context, f *kube.Factory, namespace, name string) (*session.Headers, error)
	// Others are the sessions of this user on this machine that the command line
	// does not mean. To find them needs no kubeconfig.
	Others(ctx context.Context, f *kube.Factory) ([]session.Known, error)
}
