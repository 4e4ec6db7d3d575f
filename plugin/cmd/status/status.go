// Package status is `kubectl intercept status`: the session of this machine,
// the traffic-manager it talks to and the intercepts that concern the user.
package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
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
	// All shows other sessions as fully as that of the kube context.
	All bool
	// ShowValues asks for values of headers.
	ShowValues bool

	factory  *kube.Factory
	sessions Sessions
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	o := &Options{IOStreams: streams, factory: f, sessions: sessions}
	cmd := &cobra.Command{
		Use:                   "status [--all] [--show-values]",
		DisableFlagsInUseLine: true,
		Short:                 "Show session, traffic-manager and intercepts",
		Example: templates.Examples(`
			# Is this machine connected, and what arrives?
			kubectl intercept status

			# All sessions of yours on this machine, whatever their context
			kubectl intercept status --all

			# No request meets the conditions: which headers, with which values, came instead?
			kubectl intercept status --show-values`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.All, "all", false, "Show every session of yours on this machine, also of contexts that the kubeconfig does not have")
	cmd.Flags().BoolVar(&o.ShowValues, "show-values", false, "Show values of the headers that requests had while none met the conditions of a personal intercept of yours. They come from the agents and are stored nowhere; those that may be credentials stay hidden")
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
	if err := s.print(o.Out); err != nil {
		return err
	}
	return s.printOthers(o.Out, o.All)
}

func (o *Options) collect(ctx context.Context) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := &Status{Network: "off", Manager: Manager{Namespace: o.factory.ManagerNamespace}, Intercepts: []Intercept{}}
	var err error
	if s.Others, err = o.sessions.Others(ctx, o.factory); err != nil {
		return nil, err
	}
	running, err := o.sessions.Find(ctx, o.factory)
	if err != nil && len(s.Others) == 0 {
		return nil, err
	}
	if err != nil { // the kubeconfig is of no use, and there is more to tell
		s.Error = render.Error(err)
		return s, nil
	}
	s.Session, s.Running = running, running != nil
	if running != nil {
		s.Network = network(running.Network)
	} else if asked, err := o.sessions.Asked(ctx, o.factory); err != nil {
		return nil, err
	} else if asked {
		s.Network = "asked for, but the session is gone: run kubectl intercept connect, or disconnect"
	}
	switch err := o.readContext(s); {
	case err == nil:
		err = o.ask(ctx, s)
		var absent *target.NotInstalledError
		s.Manager.Installed = !errors.As(err, &absent)
		if err != nil {
			s.Error = render.Error(err)
		}
	case running == nil:
		return nil, err
	default: // the session has what the kubeconfig has no more
		s.Context, s.Server, s.Namespace, s.Error = running.Context, running.Server, running.Namespace, render.Error(err)
	}
	if running != nil {
		s.User = running.User
		s.addOffline(running)
		s.addVolumes(running)
	}
	if o.ShowValues {
		o.addValues(ctx, s)
	}
	return s, nil
}

// readContext learns from the kubeconfig what the command line means.
func (o *Options) readContext(s *Status) (err error) {
	if s.Namespace, err = o.factory.Namespace(); err != nil {
		return err
	}
	config, err := o.factory.ToRESTConfig()
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	s.Server = config.Host
	s.Context, err = o.contextName()
	return err
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
	s.unread = true
	c, err := o.factory.Client()
	if err != nil {
		return err
	}
	if s.User, err = target.User(ctx, c); err != nil {
		return err
	}
	installed, absent := target.Installed(ctx, c, s.Manager.Namespace)
	if absent == nil {
		s.Manager.Version, s.License = installed.Version, installed.License
	}
	// They are there without a traffic-manager, too.
	visible, err := target.VisibleIntercepts(ctx, c, s.Namespace, s.Manager.Namespace)
	if err != nil {
		return cmp.Or(absent, err)
	}
	s.unread = false
	events := map[string][]corev1.Event{} // by namespace
	for _, i := range visible {
		if i.Spec.User == s.User || i.Namespace == s.Namespace {
			d := describe(&i)
			if i.Spec.User == s.User && (s.Session == nil || s.Session.Session != i.Spec.Session) {
				d.Elsewhere = s.elsewhere(ctx, c, i.Spec.Session)
			}
			d.leftBehind(absent)
			if _, read := events[i.Namespace]; !read {
				events[i.Namespace] = unhealthy(ctx, c, i.Namespace)
			}
			d.Probes = failedProbes(ctx, c, events[i.Namespace], &i)
			s.Intercepts = append(s.Intercepts, d)
		}
	}
	return absent
}

// elsewhere says to which other session an intercept of the user's goes.
func (s *Status) elsewhere(ctx context.Context, c client.Reader, name string) string {
	for _, k := range s.Others {
		if k.Status != nil && k.Status.Session == name {
			return fmt.Sprintf("%s on this machine (session %s)", k.Describe(), name)
		}
	}
	var other v1alpha1.Session
	if err := c.Get(ctx, client.ObjectKey{Namespace: s.Manager.Namespace, Name: name}, &other); err != nil {
		return "session " + name // it may be gone
	}
	text := fmt.Sprintf("host %s (session %s)", other.Spec.Host, name)
	if !meta.IsStatusConditionTrue(other.Status.Conditions, v1alpha1.ConditionConnected) {
		text += ", which is not connected"
	}
	return text
}
