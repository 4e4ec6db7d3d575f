// Package logs is `kubectl intercept logs`: it prints the log of one of the product's parts,
// wherever that is.
package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/logs"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Sessions knows where sessions keep their files.
type Sessions interface {
	// Folder is that of the session which the command line means.
	Folder(f *kube.Factory) (*state.Dir, error)
}

// The parts that have logs.
const (
	partSession = "session"
	partNetd    = "netd"
	partManager = "manager"
	partAgent   = "agent"
)

// Flags are the command line as it was typed.
type Flags struct {
	Follow   bool
	Tail     int64
	Since    time.Duration
	Previous bool
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{Tail: -1}
	cmd := &cobra.Command{
		Use:                   "logs [session | netd | manager | agent TYPE/NAME]",
		DisableFlagsInUseLine: true,
		Short:                 "Print the log of the session, of intercept-netd, of the traffic-manager or of agents",
		Long: templates.LongDesc(`
			Print the log of a part of kubectl intercept, wherever it is: of the session of the
			kube context, which is the default; of intercept-netd, which sets up this machine's
			network as root; of all replicas of the traffic-manager; of the agents in the pods of
			a workload.

			If there are several logs, each line begins with the name of its pod. Where only root
			may read the log of intercept-netd, sudo reads it, and may ask for a password.`),
		Example: templates.Examples(`
			# What the session does
			kubectl intercept logs -f

			# What the traffic-manager did in the last ten minutes
			kubectl intercept logs manager --since 10m

			# The last 50 lines of each agent in the pods of deployment quote
			kubectl intercept logs agent deploy/quote --tail 50`),
		ValidArgs: []cobra.Completion{partSession, partNetd, partManager, partAgent},
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
	fs.BoolVarP(&flags.Follow, "follow", "f", false, "Go on with what is logged from now on, until Ctrl-C")
	fs.Int64Var(&flags.Tail, "tail", flags.Tail, "Only the last lines of each log, so many; -1 means all")
	fs.DurationVar(&flags.Since, "since", 0, "Only what was logged within this time, such as 10m or 2h")
	fs.BoolVarP(&flags.Previous, "previous", "p", false, "Of the traffic-manager or agents: what the container logged before it was restarted")
	return cmd
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams
	logs.Options

	Part      string
	Ref       v1alpha1.WorkloadReference // with Part agent
	Namespace string

	factory  *kube.Factory
	sessions Sessions
}

// ToOptions checks the flags; it does not speak to the cluster.
func (fl *Flags) ToOptions(f *kube.Factory, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{IOStreams: streams, Part: partSession, factory: f,
		Options: logs.Options{Follow: fl.Follow, Tail: fl.Tail, Previous: fl.Previous, Ask: true}}
	if len(args) > 0 {
		o.Part, args = args[0], args[1:]
	}
	switch o.Part {
	case partSession, partNetd:
		if fl.Previous {
			return nil, fmt.Errorf("--previous is about containers: the log of %s has all of its runs", o.Part)
		}
	case partManager, partAgent:
		if fl.Previous && fl.Follow {
			return nil, errors.New("--previous is about a container that has ended: leave --follow out")
		}
	default:
		return nil, fmt.Errorf("%q has no log: use session, netd, manager or agent TYPE/NAME", o.Part)
	}
	var err error
	switch {
	case o.Part != partAgent && len(args) > 0:
		return nil, fmt.Errorf("unexpected argument %q", args[0])
	case o.Part == partAgent && len(args) != 1:
		return nil, errors.New("the agents of which workload? For example kubectl intercept logs agent deploy/quote")
	case o.Part == partAgent:
		if o.Ref, err = target.Parse(args[0]); err != nil {
			return nil, err
		}
	}
	if fl.Since < 0 || fl.Tail < -1 {
		return nil, errors.New("--since and --tail must not be negative; --tail -1 means all lines")
	}
	if fl.Since > 0 {
		o.Since = time.Now().Add(-fl.Since)
	}
	if o.Part == partAgent {
		o.Namespace, err = f.Namespace()
	}
	return o, err
}

// Run prints the log.
func (o *Options) Run(ctx context.Context) error {
	sources, err := o.sources(ctx)
	if err != nil {
		return err
	}
	return logs.Print(ctx, o.Out, sources, o.Options)
}

func (o *Options) sources(ctx context.Context) ([]logs.Source, error) {
	switch o.Part {
	case partSession:
		dir, err := o.sessions.Folder(o.factory)
		if err != nil {
			return nil, err
		}
		return []logs.Source{logs.File(partSession, dir.Log(), "no session of this kube context has run on this machine: kubectl intercept add or connect starts one")}, nil
	case partNetd:
		return []logs.Source{logs.Netd(netd.Default(o.IOStreams))}, nil
	}
	cfg, err := o.factory.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	if o.Part == partManager {
		return logs.Managers(ctx, k, o.factory.ManagerNamespace)
	}
	c, err := o.factory.Client()
	if err != nil {
		return nil, err
	}
	return logs.Agents(ctx, c, k, o.Namespace, o.Ref)
}
