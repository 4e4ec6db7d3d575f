// Package check is `kubectl intercept check`: can kubectl intercept work here,
// and what is to be done where it cannot.
package check

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// Flags are what the user typed.
type Flags struct {
	Pre     bool
	Output  string
	Timeout time.Duration
}

// Options are the flags, checked.
type Options struct {
	genericiooptions.IOStreams

	Env     *check.Env
	Pre     bool
	Output  string
	Timeout time.Duration
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{Timeout: 10 * time.Second}
	cmd := &cobra.Command{
		Use:                   "check",
		DisableFlagsInUseLine: true,
		Short:                 "Check whether everything is in order, and what to do if not",
		Long: templates.LongDesc(`
			Check the cluster, your permissions, the traffic-manager and this machine, and
			say what to do about what is not in order. Nothing is changed.

			√ is in order, ‼ is worth knowing, × has to be mended, - could not be checked
			or does not matter here. The exit code is 1 if anything has to be mended.`),
		Example: templates.Examples(`
			# Is everything in order, for intercepts in namespace shop?
			kubectl intercept check -n shop

			# Before the traffic-manager is installed: can it be?
			kubectl intercept check --pre

			# For a program
			kubectl intercept check -o json`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.ToOptions(f, streams)
			if err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&flags.Pre, "pre", false, "Check what the installation needs, before it")
	cmd.Flags().StringVarP(&flags.Output, "output", "o", "", "Output format: json or yaml")
	cmd.Flags().DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long one check may take")
	return cmd
}

// ToOptions makes the clients; it asks the cluster nothing.
func (fl *Flags) ToOptions(f *kube.Factory, streams genericiooptions.IOStreams) (*Options, error) {
	switch fl.Output {
	case "", "json", "yaml":
	default:
		return nil, fmt.Errorf("--output %q: use json or yaml", fl.Output)
	}
	if fl.Timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: use a time above zero", fl.Timeout)
	}
	e, err := check.NewEnv(f)
	if err != nil {
		return nil, err
	}
	return &Options{IOStreams: streams, Env: e, Pre: fl.Pre, Output: fl.Output, Timeout: fl.Timeout}, nil
}

// Run checks and prints. A failed check is the error.
func (o *Options) Run(ctx context.Context) error {
	categories := check.Categories(o.Env, o.Pre)
	var report *check.Report
	if o.Output == "" {
		p := &printer{out: o.Out}
		report = check.Run(ctx, categories, o.Timeout, p.result)
		p.summary(report)
	} else {
		report = check.Run(ctx, categories, o.Timeout, nil)
		if err := render.Structured(o.Out, o.Output, report); err != nil {
			return err
		}
	}
	if report.Success {
		return nil
	}
	return fmt.Errorf("%s failed", render.Count(int64(report.Count(check.Failed)), "check"))
}
