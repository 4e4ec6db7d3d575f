// Package upgrade is `kubectl intercept upgrade`: another version or other
// values for the traffic-manager.
package upgrade

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/deploy"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Flags are what the user typed.
type Flags struct {
	helm.ApplyFlags
	Install     bool
	ResetValues bool
	ReuseValues bool
	// ResetThenReuse is the default, unless one of the other two is given.
	ResetThenReuse bool
	MaxHistory     int
	CleanupOnFail  bool
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:                   "upgrade",
		DisableFlagsInUseLine: true,
		Short:                 "Upgrade the traffic-manager, or change its values",
		Long: templates.LongDesc(`
			Upgrade the traffic-manager to the version of this plugin, or change its values.

			Values that were set before stay set, over the defaults of the new version.
			Intercepts go on: sessions connect again by themselves.`),
		Example: templates.Examples(`
			# Upgrade to the version of this plugin
			kubectl intercept upgrade

			# Change one value, keep the others
			kubectl intercept upgrade --set replicas=3

			# Go back to the defaults of the chart
			kubectl intercept upgrade --reset-values

			# See which values differ from the defaults
			kubectl intercept upgrade --dry-run=server -o values

			# Install it if it is not there yet
			kubectl intercept upgrade --install`),
		Args: helm.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.ToOptions(cmd.Context(), f, streams)
			if err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	flags.AddFlags(cmd.Flags())
	helm.AddKubeContext(cmd.Flags(), f)
	return cmd
}

// AddFlags adds the flags, with their defaults.
func (fl *Flags) AddFlags(fs *pflag.FlagSet) {
	fl.ApplyFlags.AddFlags(fs, "upgrade process rolls back changes made in case of failed upgrade")
	fs.Lookup("create-namespace").Usage = "If --install is set, create the release namespace if not present"
	fs.BoolVarP(&fl.Install, "install", "i", false, "If a release by this name doesn't already exist, run an install")
	fs.BoolVar(&fl.ResetValues, "reset-values", false, "When upgrading, reset the values to the ones built into the chart")
	fs.BoolVar(&fl.ReuseValues, "reuse-values", false,
		"When upgrading, reuse the last release's values and merge in any overrides from the command line via --set and -f. "+
			"If '--reset-values' is specified, this is ignored")
	fs.BoolVar(&fl.ResetThenReuse, "reset-then-reuse-values", true,
		"When upgrading, reset the values to the ones built into the chart, apply the last release's values and merge in "+
			"any overrides from the command line via --set and -f. If '--reset-values' or '--reuse-values' is specified, this is ignored")
	fs.BoolVar(&fl.CleanupOnFail, "cleanup-on-fail", false, "Allow deletion of new resources created in this upgrade when upgrade fails")
	fs.IntVar(&fl.MaxHistory, "history-max", 10, "Limit the maximum number of revisions saved per release. Use 0 for no limit")
}

// ToOptions resolves the flags.
func (fl *Flags) ToOptions(ctx context.Context, f *kube.Factory, streams genericiooptions.IOStreams) (*Options, error) {
	o, err := deploy.New(ctx, f, streams, &fl.ApplyFlags)
	if err != nil {
		return nil, err
	}
	o.Apply.MaxHistory, o.Apply.Reuse, o.Apply.CleanupOnFail = fl.MaxHistory, fl.reuse(), fl.CleanupOnFail
	return &Options{Options: o, OrInstall: fl.Install}, o.Connect(f)
}

// reuse reads the three flags as Helm does: one that resets more wins.
func (fl *Flags) reuse() helm.Reuse {
	switch {
	case fl.ResetValues:
		return helm.ReuseNone
	case fl.ReuseValues:
		return helm.ReuseAll
	case fl.ResetThenReuse:
		return helm.ReuseOverReset
	default:
		return helm.ReuseDefault
	}
}
