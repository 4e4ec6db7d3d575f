// Package status is `kubectl intercept status`: the session of this machine,
// the traffic-manager it talks to and the intercepts that concern the user.
package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// patience is how long the cluster is asked: a status that hangs is of no use
// when the cluster is what is wrong.
const patience = 10 * time.Second

// Options are the flags.
type Options struct {
	genericiooptions.IOStreams

	Output string

	factory  *kube.Factory
	sessions Sessions
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	o := &Options{IOStreams: streams, factory: f, sessions: sessions}
	cmd := &cobra.Command{
		Use:                   "status",
		DisableFlagsInUseLine: true,
		Short:                 "Show session, traffic-manager and intercepts",
		Example: templates.Examples(`
			# Is this machine connected, and what arrives?
			kubectl intercept status`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// Run prints the status. A cluster that does not answer is part of the
// status, not a failure of the command.
func (o *Options) Run(ctx context.Context) error {
	s, err := o.collect(ctx)
	if err != nil {
		return err
	}
	if o.Output != "" {
		return render.Structured(o.Out, o.Output, s)
	}
	return s.print(o.Out)
}

func (o *Options) collect(ctx context.Context) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := &Status{Network: "off", Manager: Manager{Namespace: o.factory.ManagerNamespace}, Intercepts: []Intercept{}}
	running, err := o.sessions.Find(ctx, o.factory)
	if err != nil {
		return nil, err
	}
	s.Session, s.Running = running, running != nil
	if running != nil {
		s.Network = network(running.Network)
	} else if asked, err := o.sessions.Asked(o.factory); err != nil {
		return nil, err
	} else if asked {
		s.Network = "asked for, but the session is gone: run kubectl intercept connect, or disconnect"
	}
	if s.Namespace, err = o.factory.Namespace(); err != nil {
		return nil, err
	}
	config, err := o.factory.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	s.Server = config.Host
	if s.Context, err = o.contextName(); err != nil {
		return nil, err
	}
	if err := o.ask(ctx, s); err != nil {
		var absent *target.NotInstalledError
		s.Manager.Installed = !errors.As(err, &absent)
		s.Error = render.Error(err)
	}
	if running != nil {
		s.User = running.User
		s.addOffline(running)
	}
	return s, nil
}

func (o *Options) contextName() (string, error) {
	if o.factory.Context != nil && *o.factory.Context != "" {
		return *o.factory.Context, nil
	}
	raw, err := o.factory.ToRawKubeConfigLoader().RawConfig()
	return raw.CurrentContext, err
}

// ask learns from the cluster who the user is, which traffic-manager there is
// and what is intercepted.
func (o *Options) ask(ctx context.Context, s *Status) error {
	c, err := o.factory.Client()
	if err != nil {
		return err
	}
	if s.User, err = target.User(ctx, c); err != nil {
		return err
	}
	installed, err := target.Installed(ctx, c, s.Manager.Namespace)
	if err != nil {
		return err
	}
	s.Manager.Version, s.License = installed.Version, installed.License
	s.Manager.Installed = true
	visible, err := target.VisibleIntercepts(ctx, c, s.Namespace, s.Manager.Namespace)
	if err != nil {
		return err
	}
	for _, i := range visible {
		if i.Spec.User == s.User || i.Namespace == s.Namespace {
			d := describe(&i)
			d.Probes = failedProbes(ctx, c, &i)
			s.Intercepts = append(s.Intercepts, d)
		}
	}
	return nil
}
