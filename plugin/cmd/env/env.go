// Package env is `kubectl intercept env`: it prints the environment of a workload's
// container, without an intercept of its traffic.
package env

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Flags are the command line as it was typed.
type Flags struct {
	Container, Syntax, File string
	Transport               string
	Timeout                 time.Duration
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions intercept.Sessions) *cobra.Command {
	flags := &Flags{Syntax: "dotenv", Transport: "auto", Timeout: time.Minute}
	cmd := &cobra.Command{
		Use:                   "env (TYPE/NAME | NAME)",
		DisableFlagsInUseLine: true,
		Short:                 "Print the environment of a workload's container",
		Long: templates.LongDesc(`
			Print the environment that the process of a container has, in one of the
			workload's pods: what its image sets, and all that the pod's spec says, resolved.
			The traffic of the workload stays as it is, and nothing is restarted.

			TYPE is ` + target.Kinds + `; NAME alone means a deployment. What is
			about the container's machine and not about the application is left out: ` + intercept.LocalVariables() + `.
			Variables that the operator excludes (chart value intercept.environment.excluded)
			never leave the pod.

			It shows what kubectl exec would show, so it needs the same right: "create
			pods/exec" in the namespace.`),
		Example: templates.Examples(`
			# To read
			kubectl intercept env deploy/quote

			# Into this shell
			set -a; eval "$(kubectl intercept env deploy/quote --env-syntax sh)"; set +a

			# Into a file for an IDE; nobody else on this machine can read it
			kubectl intercept env deploy/quote --env-file quote.env

			# Of another container of the pod
			kubectl intercept env deploy/quote --container worker --env-syntax json`),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.ToOptions(f, args, streams)
			if err != nil {
				return err
			}
			o.sessions = sessions
			return o.Run(cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&flags.Container, "container", "", "Container of the pod (default: the one that kubectl exec would take)")
	fs.StringVar(&flags.Syntax, "env-syntax", flags.Syntax, "Syntax: "+strings.Join(environment.Syntaxes(), ", "))
	fs.StringVar(&flags.File, "env-file", "", "Write to this file instead of the terminal; nobody else can read it")
	fs.StringVar(&flags.Transport, "transport", flags.Transport, "Transport to the traffic-manager: auto, direct, service-proxy or port-forward")
	fs.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long to wait. Zero checks once, negative waits for a week")
	_ = cmd.RegisterFlagCompletionFunc("env-syntax", cobra.FixedCompletions(completions(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	if len(args) != 1 {
		return nil, errors.New("name one workload, as in: kubectl intercept env deploy/quote")
	}
	o := &Options{IOStreams: streams, File: f.File}
	var err error
	if o.Syntax, err = environment.ParseSyntax(f.Syntax); err != nil {
		return nil, err
	}
	o.Intercept, err = intercept.IngestOptions(factory, streams, args[0], f.Container, f.Transport, f.Timeout)
	return o, err
}
