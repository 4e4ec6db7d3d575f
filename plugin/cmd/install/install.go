// Package install is `kubectl intercept install`: it puts the traffic-manager
// into the cluster.
package install

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/deploy"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Flags are what the user typed.
type Flags struct{ helm.ApplyFlags }

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:                   "install",
		DisableFlagsInUseLine: true,
		Short:                 "Install the traffic-manager into the cluster",
		Long: templates.LongDesc(`
			Install the traffic-manager, the cluster side of kubectl intercept, with its
			built-in Helm chart.

			It is the Helm release traffic-manager in the namespace intercept-system; here
			-n means another namespace for the release. You need the rights of a cluster
			administrator. You may connect then, and whoever the value clientRbac.subjects
			names. Whoever may edit a namespace can intercept in it.

			What Argo CD or Flux manages is left to them, unless you --force it.`),
		Example: templates.Examples(`
			# Install the traffic-manager and wait until it is ready
			kubectl intercept install

			# Let it serve two namespaces only
			kubectl intercept install --set namespaces='{shop,blog}'

			# Take the chart from a registry, and undo everything if it fails
			kubectl intercept install --chart oci://registry.example.com/charts/traffic-manager --version 0.1.0 --atomic

			# Write the manifests for GitOps; this needs no cluster
			kubectl intercept install --dry-run=client -o yaml`),
		Args: helm.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.ToOptions(cmd.Context(), f, streams)
			if err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	flags.AddFlags(cmd.Flags(), "the installation process deletes the installation on failure")
	helm.AddKubeContext(cmd.Flags(), f)
	return cmd
}

// ToOptions resolves the flags. A client dry run needs no kubeconfig, so it gets
// no clients.
func (fl *Flags) ToOptions(ctx context.Context, f *kube.Factory, streams genericiooptions.IOStreams) (*Options, error) {
	o, err := deploy.New(ctx, f, streams, &fl.ApplyFlags)
	if err == nil && o.Apply.DryRun != helm.DryRunClient {
		err = o.Connect(f)
	}
	return &Options{o}, err
}
