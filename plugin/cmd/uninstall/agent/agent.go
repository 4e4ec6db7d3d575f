// Package agent is `kubectl intercept uninstall agent`: it takes agents out of
// pods that nobody intercepts any more.
package agent

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Flags are what the user typed.
type Flags struct {
	AllAgents     bool
	AllNamespaces bool
	Wait          bool
	Timeout       time.Duration
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{}
	cmd := &cobra.Command{
		Use:                   "agent (TYPE/NAME | --all-agents)",
		Aliases:               []string{"agents"},
		DisableFlagsInUseLine: true,
		Short:                 "Remove agents from pods that are not intercepted",
		Long: templates.LongDesc(`
			Remove agents from pods that are not intercepted.

			An agent in an ephemeral container ends. Pods with a sidecar are replaced by
			ones without, as PodDisruptionBudgets allow. The traffic-manager does both.`),
		Example: templates.Examples(`
			# The agents of a deployment
			kubectl intercept uninstall agent deploy/quote

			# Every agent of the namespace that nobody uses
			kubectl intercept uninstall agent --all-agents`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.ToOptions(f, args, streams)
			if err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&flags.AllAgents, "all-agents", false, "Every agent of the namespace that no intercept needs")
	cmd.Flags().BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "With --all-agents, those of all namespaces")
	cmd.Flags().BoolVar(&flags.Wait, "wait", true, "Wait until the agents are gone")
	cmd.Flags().DurationVar(&flags.Timeout, "timeout", 2*time.Minute, "How long to wait")
	return cmd
}

// ToOptions checks the flags.
func (fl *Flags) ToOptions(f *kube.Factory, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{IOStreams: streams, Wait: fl.Wait, Timeout: fl.Timeout, Interval: 500 * time.Millisecond, Now: time.Now}
	switch {
	case fl.AllAgents && len(args) > 0:
		return nil, errors.New("--all-agents takes no workload")
	case fl.AllNamespaces && !fl.AllAgents:
		return nil, errors.New("--all-namespaces goes with --all-agents")
	case !fl.AllAgents && len(args) == 0:
		return nil, errors.New("which workload? For example kubectl intercept uninstall agent deploy/quote, or --all-agents")
	case len(args) == 2 && target.IsType(args[0]):
		args = []string{args[0] + "/" + args[1]}
	case len(args) > 1:
		return nil, errors.New("one workload at a time, or --all-agents")
	}
	var err error
	if len(args) == 1 {
		ref, err := target.Parse(args[0])
		if err != nil {
			return nil, err
		}
		o.Ref = &ref
	}
	if !fl.AllNamespaces {
		if o.Namespace, err = f.Namespace(); err != nil {
			return nil, err
		}
	}
	o.Client, err = f.Client()
	return o, err
}
