// Package license is `kubectl intercept license`: the cluster's id, which a
// license is made for, and what the traffic-manager says of its license.
package license

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// NewCommand returns the command with its two verbs.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "license",
		DisableFlagsInUseLine: true,
		Short:                 "Show the cluster's id and its license",
		Long: templates.LongDesc(`
			Show the id of the cluster, which a license is made for, and the license that
			the traffic-manager has.

			A license is a signed file. The traffic-manager checks it without asking anybody
			outside of the cluster.`),
		Example: templates.Examples(`
			# What a license for this cluster is made for
			kubectl intercept license id

			# Put a license into the cluster
			kubectl intercept upgrade --set-file license.key=acme.jwt --set-file license.publicKey=acme.pub

			# Does it hold?
			kubectl intercept license show`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newID(f, streams), newShow(f, streams))
	return cmd
}
