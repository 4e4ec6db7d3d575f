// Package config is `kubectl intercept config`: what commands and sessions go by, and who
// says so. There is no configuration file: a value is a flag's, the kubeconfig's, the
// cluster's, or the default.
package config

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// patience is how long the cluster is asked.
const patience = 10 * time.Second

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "config",
		DisableFlagsInUseLine: true,
		Short:                 "Show the configuration that commands go by",
		Args:                  cobra.NoArgs,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newView(f, streams))
	return cmd
}

// Options are the flags of view.
type Options struct {
	genericiooptions.IOStreams

	ClientOnly bool
	Output     string

	factory *kube.Factory
}

func newView(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := &Options{IOStreams: streams, factory: f}
	cmd := &cobra.Command{
		Use:                   "view",
		DisableFlagsInUseLine: true,
		Short:                 "Show each setting, and where it comes from",
		Long: templates.LongDesc(`
			Show the settings that commands and sessions go by with this kubeconfig and these
			flags, and where each comes from. There is no file for them on this machine.
			What concerns everybody who connects is set in the cluster, by the chart's values:
			kubectl intercept upgrade --set client.routing.alsoProxySubnets='{10.20.0.0/16}'.
			Flags of a single command, such as connect --also-proxy, come on top.`),
		Example: templates.Examples(`
			# What holds here
			kubectl intercept config view

			# Only what this machine says, without asking the cluster
			kubectl intercept config view --client-only

			# For a program
			kubectl intercept config view -o json`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVarP(&o.ClientOnly, "client-only", "c", false, "Only what this machine says; asks no cluster")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// Run prints the settings. Those of this machine are printed even if the cluster does not
// tell its own, which is then the error.
func (o *Options) Run(ctx context.Context) error {
	settings, err := local(o.factory)
	if err != nil {
		return err
	}
	var cerr error
	if !o.ClientOnly {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var more []setting
		more, cerr = o.cluster(ctx)
		settings = append(settings, more...)
	}
	if o.Output != "" {
		return errors.Join(render.Structured(o.Out, o.Output, nested(settings)), cerr)
	}
	var rows [][]string
	for _, s := range settings {
		rows = append(rows, []string{s.name, s.text(), s.source})
	}
	return errors.Join(render.Table(o.Out, []string{"SETTING", "VALUE", "FROM"}, rows), cerr)
}

// cluster reads what the traffic-manager's ConfigMap says.
func (o *Options) cluster(ctx context.Context) ([]setting, error) {
	c, err := o.factory.Client()
	if err != nil {
		return nil, err
	}
	i, err := target.Installed(ctx, c, o.factory.ManagerNamespace)
	if err != nil {
		return nil, err
	}
	settings, err := remote(i)
	if err != nil {
		return nil, fmt.Errorf("read configmap/traffic-manager in namespace %q: %w", i.Namespace, err)
	}
	return settings, nil
}
