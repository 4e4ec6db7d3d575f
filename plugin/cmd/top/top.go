// Package top is `kubectl intercept top`: who moves how much.
package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// Sessions asks through the session of the kube context.
type Sessions interface {
	// Traffic starts the session if there is none.
	Traffic(ctx context.Context, f *kube.Factory, progress func(string)) (*traffic.Report, error)
}

// Flags are the command line as it was typed.
type Flags struct {
	SortBy        string
	Output        string
	NoHeaders     bool
	AllNamespaces bool
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{SortBy: "user"}
	cmd := &cobra.Command{
		Use:                   "top",
		DisableFlagsInUseLine: true,
		Short:                 "Show who moves how much",
		Long: templates.LongDesc(`
			Show what each intercept, and each connected machine, moves through the
			traffic-manager: bytes since the session connected, and bytes per second over the
			last second. All replicas are asked. An outbound row without an intercept is what
			programs on a machine reach in the cluster.

			DOWN is towards the machine, UP away from it. On lines, flows are encrypted between
			agent and machine, so the traffic-manager can only say how many there are at most.

			You see your own sessions. Whoever may "list sessions.kubectl-intercept.dev" in the
			traffic-manager's namespace sees everybody's.`),
		Example: templates.Examples(`
			# Everything that you may see
			kubectl intercept top

			# The busiest first
			kubectl intercept top --sort-by rate

			# Intercepts of one namespace
			kubectl intercept top -n shop`),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.ToOptions(f, streams, sessions, args)
			if err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&flags.SortBy, "sort-by", flags.SortBy, "Order of the rows: "+strings.Join(orders(), ", ")+"; the last three begin with the largest")
	fs.BoolVar(&flags.NoHeaders, "no-headers", false, "Print no column headings")
	fs.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "All namespaces, and what belongs to none, as without --namespace")
	fs.StringVarP(&flags.Output, "output", "o", "", "Output format: json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("sort-by", cobra.FixedCompletions(orders(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	// Namespace is that of the intercepts; empty for all, and for flows without one.
	Namespace string
	SortBy    string
	Output    string
	NoHeaders bool

	factory  *kube.Factory
	sessions Sessions
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions, args []string) (*Options, error) {
	o := &Options{IOStreams: streams, SortBy: f.SortBy, Output: f.Output, NoHeaders: f.NoHeaders, factory: factory, sessions: sessions}
	switch {
	case len(args) > 0:
		return nil, fmt.Errorf("top takes no arguments, and has %q: -n NAMESPACE shows the intercepts of a namespace", args[0])
	case !slices.Contains(orders(), f.SortBy):
		return nil, fmt.Errorf("--sort-by %q: use one of %s", f.SortBy, strings.Join(orders(), ", "))
	case f.Output != "" && f.Output != "json" && f.Output != "yaml":
		return nil, fmt.Errorf("--output %q: use json or yaml", f.Output)
	}
	if n := factory.ConfigFlags.Namespace; n != nil && *n != "" {
		if f.AllNamespaces {
			return nil, errors.New("--namespace and --all-namespaces exclude each other: leave one out")
		}
		o.Namespace = *n
	}
	return o, nil
}

// Run asks, and prints.
func (o *Options) Run(ctx context.Context) error {
	progress := render.NewProgress(o.ErrOut)
	report, err := o.sessions.Traffic(ctx, o.factory, progress.Step)
	progress.Done()
	if err != nil {
		return err
	}
	if o.Namespace != "" {
		report.Entries = slices.DeleteFunc(report.Entries, func(e traffic.Entry) bool { return !strings.HasPrefix(e.Intercept, o.Namespace+"/") })
	}
	order(report.Entries, o.SortBy)
	for _, m := range report.Missing {
		render.Warn(o.ErrOut, "a replica of the traffic-manager did not answer, so its part is missing: "+m)
	}
	if o.Output != "" {
		return render.Structured(o.Out, o.Output, report)
	}
	return o.print(report)
}
