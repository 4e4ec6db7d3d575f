// Package leave is `kubectl intercept leave`: it ends intercepts and returns
// when the application has its traffic back.
package leave

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Flags are the command line as it was typed.
type Flags struct {
	All           bool
	AllNamespaces bool
	Wait          bool
	Timeout       time.Duration
	Print         *genericclioptions.PrintFlags
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{Wait: true, Timeout: time.Minute, Print: genericclioptions.NewPrintFlags("left")}
	cmd := &cobra.Command{
		Use:                   "leave (NAME | TYPE/NAME | --all)",
		Aliases:               []string{"remove"},
		DisableFlagsInUseLine: true,
		Short:                 "Give a workload its traffic back",
		Long: templates.LongDesc(`
			End intercepts of yours, named by their own name or by their workload's.
			When the command returns, the application answers again.`),
		Example: templates.Examples(`
			# The intercept of deployment quote
			kubectl intercept leave quote

			# All of yours, in all namespaces
			kubectl intercept leave --all -A

			# One of a kube context that the kubeconfig does not have any more
			kubectl intercept leave quote --context old`),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.ToOptions(f, cmd, args, streams)
			if err != nil {
				return err
			}
			o.sessions = sessions
			return o.Run(cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&flags.All, "all", false, "Leave all your intercepts of the namespace")
	fs.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "With --all: of all namespaces")
	fs.BoolVar(&flags.Wait, "wait", flags.Wait, "Wait until the application has its traffic back")
	fs.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long to wait. Zero checks once, negative waits for a week")
	cmdutil.AddDryRunFlag(cmd)
	flags.Print.AddFlags(cmd)
	return cmd
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	Names   []string // none: all
	Wait    bool
	Timeout time.Duration
	DryRun  cmdutil.DryRunStrategy

	factory   *kube.Factory
	sessions  Sessions
	broken    error  // why the kubeconfig is of no use
	namespace string // "" means all, or without a kubeconfig that it is not known
	// everywhere says that all namespaces are meant.
	everywhere bool
	printer    printers.ResourcePrinter
	brief      bool // -o was given
	client     client.WithWatch
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, cmd *cobra.Command, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{IOStreams: streams, Names: args, Wait: f.Wait, Timeout: f.Timeout, everywhere: f.AllNamespaces, factory: factory}
	switch {
	case f.All && len(args) > 0:
		return nil, fmt.Errorf("either --all or names, not both")
	case !f.All && len(args) == 0:
		return nil, errors.New("which intercept? Name it or its workload, or use --all; kubectl intercept list shows them")
	case f.AllNamespaces && !f.All:
		return nil, errors.New("--all-namespaces goes with --all; for one intercept say -n NAMESPACE")
	}
	var err error
	if !f.AllNamespaces {
		if o.namespace, o.broken = factory.Namespace(); o.broken != nil && factory.ConfigFlags.Namespace != nil {
			o.namespace = *factory.ConfigFlags.Namespace
		}
	}
	if o.DryRun, err = cmdutil.GetDryRunStrategy(cmd); err != nil {
		return nil, err
	}
	o.brief = f.Print.OutputFormat != nil && *f.Print.OutputFormat != ""
	cmdutil.PrintFlagsWithDryRunStrategy(f.Print, o.DryRun)
	o.printer, err = f.Print.ToPrinter()
	return o, err
}
