// Package loglevel is `kubectl intercept loglevel`: the session, the traffic-manager and the
// agents log more, or less, for a while.
package loglevel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/loglevel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// longest is how long a level can be asked for: one that is forgotten fills disks.
const longest = 24 * time.Hour

// Sessions knows the session that runs.
type Sessions interface {
	// LogLevel changes the level of the session of the kube context for a time, and returns
	// its log file; "" if none runs.
	LogLevel(ctx context.Context, f *kube.Factory, want session.LogLevel) (file string, err error)
}

// Flags are the command line as it was typed.
type Flags struct {
	Duration   time.Duration
	LocalOnly  bool
	RemoteOnly bool
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{Duration: 30 * time.Minute}
	cmd := &cobra.Command{
		Use:                   "loglevel (debug | info | warn | error) [--duration TIME]",
		DisableFlagsInUseLine: true,
		Short:                 "Let everything log more, or less, for a while",
		Long: templates.LongDesc(`
			Change what the session on this machine logs, and what the traffic-manager and the
			agents log. Nothing restarts. After the time each logs again as it did before; a
			process that is started anew meanwhile begins with its own level, but for the
			traffic-manager and the agents.

			For the cluster's part you need the right to patch the ConfigMap traffic-manager in
			its namespace, since it concerns everybody. intercept-netd logs the little that it
			has to say always. kubectl intercept upgrade --set logLevel=debug is for good.`),
		Example: templates.Examples(`
			# For the next half hour
			kubectl intercept loglevel debug

			# On this machine alone, for four hours
			kubectl intercept loglevel debug --local-only --duration 4h

			# As before
			kubectl intercept loglevel info`),
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
	fs.DurationVarP(&flags.Duration, "duration", "d", flags.Duration, "For how long")
	fs.BoolVarP(&flags.LocalOnly, "local-only", "l", false, "Only the session on this machine")
	fs.BoolVarP(&flags.RemoteOnly, "remote-only", "r", false, "Only the traffic-manager and the agents")
	return cmd
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	Level         string
	Duration      time.Duration
	Local, Remote bool
	Now           func() time.Time

	factory  *kube.Factory
	sessions Sessions
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions, args []string) (*Options, error) {
	if len(args) != 1 {
		return nil, errors.New("which level? Use debug, info, warn or error")
	}
	if _, err := loglevel.Parse(args[0]); err != nil {
		return nil, err
	}
	if f.Duration < time.Second || f.Duration > longest {
		return nil, fmt.Errorf("--duration %s: use a time from 1s to 24h; kubectl intercept upgrade --set logLevel=%s is for good", f.Duration, args[0])
	}
	if f.LocalOnly && f.RemoteOnly {
		return nil, errors.New("--local-only and --remote-only exclude each other: leave both out for all parts")
	}
	return &Options{IOStreams: streams, Level: args[0], Duration: f.Duration, Local: !f.RemoteOnly, Remote: !f.LocalOnly, Now: time.Now, factory: factory, sessions: sessions}, nil
}

// Run changes both ends. One that fails does not keep the other from it.
func (o *Options) Run(ctx context.Context) error {
	var lerr, rerr error
	if o.Local {
		lerr = o.local(ctx)
	}
	if o.Remote {
		rerr = o.remote(ctx)
	}
	return errors.Join(lerr, rerr)
}

func (o *Options) local(ctx context.Context) error {
	file, err := o.sessions.LogLevel(ctx, o.factory, session.LogLevel{Level: o.Level, For: o.Duration})
	switch {
	case err != nil:
		return err
	case file == "":
		_, err = fmt.Fprintln(o.ErrOut, "No session runs on this machine: the next one logs as usual")
	default:
		_, err = fmt.Fprintf(o.Out, "session: level %s for %s, in %s\n", o.Level, o.Duration, file)
	}
	return err
}

func (o *Options) remote(ctx context.Context) error {
	c, err := o.factory.Client()
	if err != nil {
		return err
	}
	namespace := o.factory.ManagerNamespace
	i, err := target.Installed(ctx, c, namespace)
	if err != nil {
		return err
	}
	value, err := loglevel.Request{Level: o.Level, Until: o.Now().Add(o.Duration)}.Encode()
	if err != nil {
		return err
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: i.Namespace, Name: target.ManagerName}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, loglevel.Annotation, value)
	err = c.Patch(ctx, cm, client.RawPatch("application/merge-patch+json", patch))
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("you may not change what the traffic-manager and the agents log: that needs \"patch configmaps/%s\" in namespace %q; --local-only leaves them alone", target.ManagerName, namespace)
	}
	if err != nil {
		return fmt.Errorf("annotate configmap/%s in namespace %q: %w", target.ManagerName, namespace, err)
	}
	_, err = fmt.Fprintf(o.Out, "traffic-manager and agents: level %s for %s, beginning within seconds\n", o.Level, o.Duration)
	return err
}
