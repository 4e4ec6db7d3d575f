// Package quit is `kubectl intercept quit`: it ends the background process with
// all that it does, also where its cluster does not answer.
package quit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Sessions finds the background processes.
type Sessions interface {
	// Quit ends the session that the command line means, or all on this machine.
	Quit(ctx context.Context, f *kube.Factory, all bool) ([]Ended, error)
	// Disconnect is that of package disconnect.
	Disconnect(ctx context.Context, f *kube.Factory, all bool) ([]session.Known, error)
	// Others are the sessions on this machine that the command line does not mean.
	Others(ctx context.Context, f *kube.Factory) ([]session.Known, error)
	// Undo is that of package disconnect.
	Undo(ctx context.Context, streams genericiooptions.IOStreams) error
}

// Ended is a session that is over.
type Ended struct {
	session.Known
	// Left is its Session object, where the cluster has not deleted it.
	Left string
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	All bool
	// NetworkOnly leaves the intercepts.
	NetworkOnly bool

	factory  *kube.Factory
	sessions Sessions
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	o := &Options{IOStreams: streams, factory: f, sessions: sessions}
	var user, root, daemons bool
	cmd := &cobra.Command{
		Use:                   "quit [--all]",
		DisableFlagsInUseLine: true,
		Short:                 "End the session, with its intercepts and its network",
		Long: templates.LongDesc(`
			End the background process of the kube context: its intercepts, which gives the
			workloads their traffic back, and the access to the cluster that kubectl
			intercept connect gave.

			It also ends a session whose cluster does not answer or is gone, whose credentials
			are not valid any more, or that hangs. Nothing else needs it: a session without
			work ends by itself.`),
		Example: templates.Examples(`
			# The session of the kube context
			kubectl intercept quit

			# That of a context which the kubeconfig does not have any more
			kubectl intercept quit --context old

			# Every session of yours on this machine
			kubectl intercept quit --all`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.NetworkOnly = root && !user && !daemons
			switch {
			case o.NetworkOnly:
				fmt.Fprintln(o.ErrOut, "it is called kubectl intercept disconnect --all here")
			case user || root || daemons:
				fmt.Fprintln(o.ErrOut, "it is called kubectl intercept quit --all here")
			}
			o.All = o.All || user || root || daemons
			return o.Run(cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&o.All, "all", false, "End every session of yours on this machine, whatever its context")
	// As people are used to type: there, one process of the user and one of root serve
	// all contexts.
	fs.BoolVarP(&user, "user-daemon", "u", false, "")
	fs.BoolVarP(&root, "root-daemon", "r", false, "")
	fs.BoolVar(&daemons, "stop-daemons", false, "")
	for _, name := range []string{"user-daemon", "root-daemon", "stop-daemons"} {
		_ = fs.MarkHidden(name) // it is there
	}
	return cmd
}

// Run ends what is to end.
func (o *Options) Run(ctx context.Context) error {
	if o.NetworkOnly {
		return o.network(ctx)
	}
	ended, err := o.sessions.Quit(ctx, o.factory, o.All)
	for _, e := range ended {
		fmt.Fprintf(o.ErrOut, "%s has ended%s\n", e.Describe(), e.intercepts())
		if n := e.programs(); n > 0 {
			ends := "they are"
			if n == 1 {
				ends = "it is"
			}
			fmt.Fprintf(o.ErrOut, "%s of kubectl intercept run will start another session unless %s ended\n", render.Count(int64(n), "program"), ends)
		}
		if e.Left != "" {
			fmt.Fprintf(o.ErrOut, "its cluster %s did not delete the session's object %s: the traffic-manager does so later, kubectl delete session %s at once; until then the application answers callers\n", e.Server, e.Left, e.Left+e.namespace())
		}
	}
	if len(ended) > 0 || err == nil || o.All {
		err = errors.Join(err, o.sessions.Undo(ctx, o.IOStreams))
	}
	if err != nil {
		return err
	}
	if len(ended) == 0 {
		fmt.Fprintln(o.ErrOut, "no session is running")
	}
	if o.All {
		return nil
	}
	others, err := o.sessions.Others(ctx, o.factory)
	for _, k := range others {
		fmt.Fprintf(o.ErrOut, "%s goes on: kubectl intercept quit %s ends that\n", k.Describe(), k.Flag)
	}
	return err
}

func (o *Options) network(ctx context.Context) error {
	ended, err := o.sessions.Disconnect(ctx, o.factory, true)
	for _, k := range ended {
		fmt.Fprintf(o.ErrOut, "disconnected %s; its intercepts stay\n", k.Describe())
	}
	err = errors.Join(err, o.sessions.Undo(ctx, o.IOStreams))
	if err == nil && len(ended) == 0 {
		fmt.Fprintln(o.ErrOut, "not connected")
	}
	return err
}

// programs is how many have a network of their own that it served.
func (e *Ended) programs() int {
	if e.Status == nil || e.Status.Network == nil {
		return 0
	}
	return len(e.Status.Network.Isolated)
}

// namespace is that of its Session object, as a flag.
func (e *Ended) namespace() string {
	return " -n " + cmp.Or(e.ManagerNamespace, kube.DefaultManagerNamespace)
}

// intercepts are those that end with it.
func (e *Ended) intercepts() string {
	var names []string
	for _, i := range e.Served() {
		names = append(names, i.String())
	}
	if len(names) == 0 {
		return ""
	}
	return ", and with it the intercepts " + strings.Join(names, ", ")
}
