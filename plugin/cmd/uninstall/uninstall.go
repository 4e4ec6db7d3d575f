// Package uninstall is `kubectl intercept uninstall`: it takes the
// traffic-manager out of the cluster.
package uninstall

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/uninstall/agent"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Flags are what the user typed.
type Flags struct {
	Force      bool
	DeleteCRDs bool
	Wait       bool
	Timeout    time.Duration
	DryRun     string
	Debug      bool
}

// NewCommand returns the command. It runs by itself and may be given
// subcommands.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:                   "uninstall",
		DisableFlagsInUseLine: true,
		Short:                 "Remove the traffic-manager from the cluster",
		Long: templates.LongDesc(`
			Remove the traffic-manager from the cluster, with every session.

			It refuses while somebody intercepts, and what Argo CD or Flux manages, unless
			you --force it. The namespace stays, and so do the CustomResourceDefinitions,
			unless you --delete-crds. Pods keep the ephemeral containers of agents that have
			ended until they are replaced.

			It also removes what is left when the namespace of the traffic-manager, or its
			Helm release, was deleted instead.`),
		Example: templates.Examples(`
			# Remove the traffic-manager
			kubectl intercept uninstall

			# Also end the intercepts of everybody
			kubectl intercept uninstall --force

			# What would go, and what would stay?
			kubectl intercept uninstall --dry-run

			# Leave nothing but the namespace
			kubectl intercept uninstall --delete-crds`),
		Args: helm.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.ToOptions(f, streams)
			if err != nil {
				return err
			}
			return helm.Denied(o.Run(cmd.Context()))
		},
	}
	cmd.AddCommand(agent.NewCommand(f, streams))
	cmd.Flags().BoolVar(&flags.Force, "force", false, "End the intercepts of everybody first, and go on although Argo CD or Flux manages the traffic-manager")
	cmd.Flags().BoolVar(&flags.DeleteCRDs, "delete-crds", false, "Delete the CustomResourceDefinitions too")
	cmd.Flags().BoolVar(&flags.Wait, "wait", true, "Wait until everything is gone")
	cmd.Flags().StringVar(&flags.DryRun, "dry-run", "none", "Say what would be done, and do nothing. With no option being specified or as '--dry-run=client' or '--dry-run=server'")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = "client"
	cmd.Flags().BoolVar(&flags.Debug, "debug", false, "Print Helm's own log to standard error")
	helm.AddKubeContext(cmd.Flags(), f)
	cmd.Flags().DurationVar(&flags.Timeout, "timeout", 5*time.Minute, "Time to wait for any individual Kubernetes operation")
	return cmd
}

// ToOptions resolves the flags.
func (fl *Flags) ToOptions(f *kube.Factory, streams genericiooptions.IOStreams) (*Options, error) {
	if fl.Timeout <= 0 {
		return nil, fmt.Errorf("invalid --timeout=%s: it must be positive; --wait=false does not wait", fl.Timeout)
	}
	dry, err := helm.ParseDryRun(fl.DryRun)
	if err != nil {
		return nil, err
	}
	o := &Options{
		IOStreams: streams, Namespace: helm.Namespace(f), Force: fl.Force, DeleteCRDs: fl.DeleteCRDs,
		Wait: fl.Wait, DryRun: dry != helm.DryRunNone, Timeout: fl.Timeout, Interval: 500 * time.Millisecond, Now: time.Now,
	}
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	if o.Client, err = kube.NewClient(cfg); err != nil {
		return nil, err
	}
	if o.Kube, err = kubernetes.NewForConfig(cfg); err != nil {
		return nil, err
	}
	releases, err := helm.New(f, o.Namespace)
	if err == nil && fl.Debug {
		releases.LogTo(streams.ErrOut)
	}
	o.Releases = releases
	return o, err
}
