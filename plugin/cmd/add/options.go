package add

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// dryRunSession stands for the session that a dry run does not start.
const dryRunSession = "dry-run"

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	Ref             v1alpha1.WorkloadReference
	Ports           []v1alpha1.InterceptPort
	Service, Name   string
	Inject          v1alpha1.InjectMode
	KeepEstablished bool
	NoFallback      bool
	Transport       string
	Wait            bool
	Timeout         time.Duration
	DryRun          cmdutil.DryRunStrategy

	factory   *kube.Factory
	sessions  Sessions
	namespace string
	printer   printers.ResourcePrinter
	brief     bool // -o was given: the object and nothing else

	client   client.WithWatch
	progress *render.Progress
	workload *resolve.Workload
	resolved []v1alpha1.ResolvedPort
	user     string
}

// Run makes or changes the intercept.
func (o *Options) Run(ctx context.Context) error {
	i, err := o.Make(ctx, o.sessions)
	if err != nil {
		return err
	}
	return o.report(ctx, i)
}

// Make is Run without a word about the result. The time-out is for all of it.
func (o *Options) Make(ctx context.Context, sessions Sessions) (*v1alpha1.Intercept, error) {
	o.progress = render.NewProgress(o.ErrOut)
	defer o.progress.Done()
	bounded, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	i, before, err := o.request(bounded, sessions)
	if err != nil {
		return nil, target.TimedOut(bounded, o.Timeout, err)
	}
	if o.Wait && o.DryRun == cmdutil.DryRunNone {
		return o.await(ctx, bounded, i, before)
	}
	return i, nil
}

// request creates or changes the intercept, which then may become active.
func (o *Options) request(ctx context.Context, sessions Sessions) (i, before *v1alpha1.Intercept, err error) {
	if o.client, err = o.factory.Client(); err != nil {
		return nil, nil, err
	}
	o.progress.Step("resolving " + resolve.RefString(o.Ref))
	if err := o.resolve(ctx); err != nil {
		return nil, nil, err
	}
	if err := o.checkManager(ctx); err != nil {
		return nil, nil, err
	}
	if o.user, err = target.User(ctx, o.client); err != nil {
		return nil, nil, err
	}
	s := &Session{User: o.user, Name: dryRunSession}
	if o.DryRun == cmdutil.DryRunNone {
		if s, err = sessions.Ensure(ctx, o.factory, o.Transport, o.progress.Step); err != nil {
			return nil, nil, err
		}
	}
	if i, before, err = o.apply(ctx, s); err != nil {
		return nil, nil, err
	}
	if o.DryRun == cmdutil.DryRunNone {
		if err := s.Track(ctx, i.Namespace, i.Name); err != nil {
			return nil, nil, o.undo(ctx, i, before, err)
		}
	}
	return i, before, nil
}

// Leave ends the intercept that Make made, and waits a while for its end.
func (o *Options) Leave(ctx context.Context, i *v1alpha1.Intercept) error {
	err := o.client.Delete(ctx, i, client.Preconditions{UID: &i.UID})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("leave %s: %w; run kubectl intercept leave %s -n %s", o.workload, err, i.Name, i.Namespace)
	}
	return o.gone(ctx, i, undoDeadline)
}

// resolve finds workload and ports, so that a mistake is told at once and
// what is sent is unambiguous.
func (o *Options) resolve(ctx context.Context) error {
	w, service, err := target.Find(ctx, o.client, o.namespace, o.Ref)
	if err != nil {
		return err
	}
	if o.Service == "" {
		o.Service = service
	}
	services, err := resolve.Services(ctx, o.client, w)
	if err != nil {
		return err
	}
	if o.resolved, err = resolve.Ports(w, services, o.Service, o.Ports); err != nil {
		return advise(err, o.Ports[0].LocalPort)
	}
	for n, p := range o.resolved {
		o.Ports[n].Protocol = p.Protocol
		if o.Ports[n].Port == "" {
			o.Ports[n].Port = resolve.Identifier(p)
		}
	}
	o.workload = w
	return twice(o.Ports)
}

// advise adds to a complaint about several ports how one is chosen.
func advise(err error, local int32) error {
	var port *resolve.PortError
	if !errors.As(err, &port) || port.Port != "" || len(port.Choices) == 0 {
		return err
	}
	first, _, _ := strings.Cut(port.Choices[0], " ")
	return fmt.Errorf("%w; for example --port %d:%s", err, local, first)
}

// checkManager is a courtesy: who may not read the version goes on, unless the
// cluster does not know what an intercept is.
func (o *Options) checkManager(ctx context.Context) error {
	i, err := target.Installed(ctx, o.client, o.factory.ManagerNamespace)
	if err == nil && !i.Manages(o.namespace) {
		return fmt.Errorf("the traffic-manager in namespace %q does not work in namespace %q, only in %s (chart value namespaces; kubectl intercept check shows more)",
			o.factory.ManagerNamespace, o.namespace, strings.Join(i.Namespaces, ", "))
	}
	if !apierrors.IsForbidden(err) {
		return err
	}
	d, err := o.factory.ToDiscoveryClient()
	if err != nil {
		return err
	}
	if _, err = d.ServerResourcesForGroupVersion(v1alpha1.GroupVersion().String()); apierrors.IsNotFound(err) {
		return &target.NotInstalledError{Namespace: o.factory.ManagerNamespace}
	}
	return nil
}

// apply creates the intercept, or updates the one of the same owner and
// workload, whose former state it then returns too.
func (o *Options) apply(ctx context.Context, s *Session) (now, before *v1alpha1.Intercept, err error) {
	const attempts = 4 // somebody else may take the name or change the object
	for range attempts {
		now, before, err = o.applyOnce(ctx, s)
		if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			break
		}
	}
	return now, before, err
}

func (o *Options) applyOnce(ctx context.Context, s *Session) (now, before *v1alpha1.Intercept, err error) {
	visible, err := target.VisibleIntercepts(ctx, o.client, o.namespace, o.factory.ManagerNamespace)
	if err != nil {
		return nil, nil, err
	}
	here := slices.DeleteFunc(slices.Clone(visible), func(i v1alpha1.Intercept) bool { return i.Namespace != o.namespace })
	name, existing, err := place(here, s.User, o.Name, o.workload.Ref)
	if err != nil {
		return nil, nil, err
	}
	if existing != nil && existing.DeletionTimestamp != nil {
		o.progress.Step("waiting for the end of the former intercept")
		if err := o.gone(ctx, existing, o.Timeout); err != nil {
			return nil, nil, err
		}
		existing = nil
	}
	now = &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: o.namespace}}
	if existing != nil {
		before, now = existing, existing.DeepCopy()
	}
	now.Spec = v1alpha1.InterceptSpec{
		User: s.User, Session: s.Name, Workload: o.workload.Ref, Service: o.Service, Ports: o.Ports,
		Mode: v1alpha1.ModeGlobal, Inject: o.Inject, KeepEstablished: o.KeepEstablished, NoFallback: o.NoFallback,
	}
	if err := clash(visible, now); err != nil {
		return nil, nil, err
	}
	switch {
	case o.DryRun == cmdutil.DryRunClient:
	case before == nil && o.DryRun == cmdutil.DryRunServer:
		err = o.client.Create(ctx, now, client.DryRunAll)
	case before == nil:
		err = o.client.Create(ctx, now)
	case o.DryRun == cmdutil.DryRunServer:
		err = o.client.Update(ctx, now, client.DryRunAll)
	default:
		err = o.client.Update(ctx, now)
	}
	return now, before, err
}
