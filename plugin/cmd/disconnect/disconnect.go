// Package disconnect is `kubectl intercept disconnect`: it ends what connect
// began.
package disconnect

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Sessions finds the background processes.
type Sessions interface {
	// Disconnect ends outbound access of the session that the command line means,
	// or of all on this machine, and returns those that had any.
	Disconnect(ctx context.Context, f *kube.Factory, all bool) ([]session.Known, error)
	// Others are the sessions on this machine that the command line does not mean.
	Others(ctx context.Context, f *kube.Factory) ([]session.Known, error)
	// Undo undoes what a killed intercept-netd has left of this machine's DNS, if
	// anything; that may need root.
	Undo(ctx context.Context, streams genericiooptions.IOStreams) error
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	All bool

	factory  *kube.Factory
	sessions Sessions
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	o := &Options{IOStreams: streams, factory: f, sessions: sessions}
	cmd := &cobra.Command{
		Use:                   "disconnect [--all]",
		DisableFlagsInUseLine: true,
		Short:                 "Close the way into the cluster again",
		Long: templates.LongDesc(`
			End the access to the cluster that kubectl intercept connect gave to programs
			on this machine. Intercepts stay.

			It is that of the kube context. With --context this also works for one that the
			kubeconfig does not have any more, and with --all no kubeconfig is needed.`),
		Example: templates.Examples(`
			# This machine's network is its own again
			kubectl intercept disconnect

			# Whatever clusters it is connected to
			kubectl intercept disconnect --all`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.All, "all", false, "Disconnect every session of yours on this machine, whatever its context")
	return cmd
}

// Run disconnects.
func (o *Options) Run(ctx context.Context) error {
	ended, err := o.sessions.Disconnect(ctx, o.factory, o.All)
	if len(ended) > 0 || err == nil || o.All {
		err = errors.Join(err, o.sessions.Undo(ctx, o.IOStreams))
	}
	switch {
	case len(ended) == 0 && err != nil:
	case len(ended) == 0:
		fmt.Fprintln(o.ErrOut, "not connected")
	case !o.All:
		fmt.Fprintln(o.ErrOut, "disconnected")
	default:
		for _, k := range ended {
			fmt.Fprintf(o.ErrOut, "disconnected %s\n", k.Describe())
		}
	}
	if o.All || err != nil {
		return err
	}
	others, err := o.sessions.Others(ctx, o.factory)
	if err != nil {
		return err
	}
	for _, k := range others {
		if k.Online() {
			fmt.Fprintf(o.ErrOut, "%s is connected: kubectl intercept disconnect %s ends that\n", k.Describe(), k.Flag)
		}
	}
	return nil
}
