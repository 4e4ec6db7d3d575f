// Package version is `kubectl intercept version`: the versions of the product's parts, and
// which of them do not fit.
package version

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// patience is how long the cluster is asked.
const patience = 10 * time.Second

// Sessions knows what runs on this machine.
type Sessions interface {
	// Find is the status of the session of the kube context; nil if none runs.
	Find(ctx context.Context, f *kube.Factory) (*session.Status, error)
	// Netd is the version of the intercept-netd that runs; "" if none does. It has none
	// started as root.
	Netd(ctx context.Context) (string, error)
}

// Options are the flags.
type Options struct {
	genericiooptions.IOStreams

	ClientOnly bool
	Output     string

	factory  *kube.Factory
	sessions Sessions
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	o := &Options{IOStreams: streams, factory: f, sessions: sessions}
	cmd := &cobra.Command{
		Use:                   "version",
		DisableFlagsInUseLine: true,
		Short:                 "Show the versions of plugin, session and traffic-manager",
		Long: templates.LongDesc(`
			Show the versions of the plugin, of what runs of it on this machine, of the
			traffic-manager, and of the agents of intercepts that you may list. It warns
			where they do not fit.`),
		Example: templates.Examples(`
			# Versions of all parts
			kubectl intercept version

			# Of the plugin only, without asking the cluster
			kubectl intercept version --client`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.ClientOnly, "client", false, "Only the version of the plugin; asks no cluster")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// Run prints the versions. What is known is printed even if the
// traffic-manager cannot be asked, which is then the error.
func (o *Options) Run(ctx context.Context) error {
	v, merr := o.collect(ctx)
	var absent *target.NotInstalledError
	if errors.As(merr, &absent) {
		merr = nil // a finding, no failure
	}
	v.Skew = v.compare()
	if o.Output != "" {
		return errors.Join(render.Structured(o.Out, o.Output, v), merr)
	}
	if err := v.print(o.Out, absent); err != nil {
		return err
	}
	for _, s := range v.Skew {
		render.Warn(o.ErrOut, s)
	}
	return merr
}

// print has a line for each part, as kubectl version has.
func (v *Versions) print(w io.Writer, absent *target.NotInstalledError) error {
	lines := []string{"Client Version: " + v.Client.Version}
	if v.Session != nil {
		lines = append(lines, "Session Version: "+v.Session.Version)
	}
	if v.Netd != nil {
		lines = append(lines, "Netd Version: "+v.Netd.Version)
	}
	switch {
	case v.Manager != nil:
		lines = append(lines, "Manager Version: "+v.Manager.Version)
	case absent != nil:
		lines = append(lines, fmt.Sprintf("Manager Version: not installed in namespace %q", absent.Namespace))
	}
	for _, a := range v.Agents {
		lines = append(lines, fmt.Sprintf("Agent Version: %s (%s)", a.Version, render.Count(int64(len(a.Pods)), "pod")))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
