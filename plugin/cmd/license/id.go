package license

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// IDOptions are those of `license id`.
type IDOptions struct {
	genericiooptions.IOStreams

	factory *kube.Factory
}

func newID(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := &IDOptions{IOStreams: streams, factory: f}
	return &cobra.Command{
		Use:                   "id",
		DisableFlagsInUseLine: true,
		Short:                 "Print the cluster's id",
		Long: templates.LongDesc(`
			Print the id of the cluster, which a license is made for: the UID of the
			namespace kube-system.`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
}

// Run prints the id and nothing else.
func (o *IDOptions) Run(ctx context.Context) error {
	c, err := o.factory.Client()
	if err != nil {
		return err
	}
	id, err := clusterID(ctx, c, o.factory.ManagerNamespace)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.Out, id)
	return err
}

// clusterID reads the namespace; who may not gets what the traffic-manager
// has read.
func clusterID(ctx context.Context, r client.Reader, managerNamespace string) (string, error) {
	var ns corev1.Namespace
	err := r.Get(ctx, client.ObjectKey{Name: license.ClusterNamespace}, &ns)
	if err == nil {
		return string(ns.UID), nil
	}
	if !apierrors.IsForbidden(err) {
		return "", fmt.Errorf("read the cluster's id: %w", err)
	}
	if i, err := target.Installed(ctx, r, managerNamespace); err == nil && i.License != nil && i.License.Cluster != "" {
		return i.License.Cluster, nil
	}
	return "", fmt.Errorf("the cluster's id is the UID of namespace %s, which you may not get; ask somebody who may, an administrator say, to run kubectl intercept license id",
		license.ClusterNamespace)
}
