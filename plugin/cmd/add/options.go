package add

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
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
	back     func(context.Context) error // leads the ports where they led before; nil: nothing has changed that
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
	o.warnOfProbes()
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
		if o.back, err = s.Track(ctx, i.Namespace, i.Name); err != nil {
			if ctx.Err() != nil {
				err = o.interrupted()
			}
			return nil, nil, o.undo(ctx, i, before, err)
		}
		o.sayTaken(ctx, before, s)
	}
	return i, before, nil
}

// Leave ends the intercept that Make made, and waits a while for its end. One that
// somebody has changed since is theirs.
func (o *Options) Leave(ctx context.Context, i *v1alpha1.Intercept) error {
	var now v1alpha1.Intercept
	err := o.client.Get(ctx, client.ObjectKeyFromObject(i), &now)
	if apierrors.IsNotFound(err) || err == nil && (now.UID != i.UID || !equality.Semantic.DeepEqual(now.Spec, i.Spec)) {
		return nil
	}
	err = o.client.Delete(ctx, i, client.Preconditions{UID: &i.UID})
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
	var all *target.Listing // where a Service stays one
	if o.Ref.Kind == "Service" && service == "" {
		all = o.sayGap(ctx)
	}
	if o.Service == "" {
		o.Service = service
	}
	services, err := resolve.Services(ctx, o.client, w)
	if err != nil {
		return err
	}
	if o.resolved, err = resolve.Ports(w, services, o.Service, o.Ports); err != nil {
		return advise(err)
	}
	for n, p := range o.resolved {
		o.Ports[n].Protocol = p.Protocol
		if o.Ports[n].Port == "" {
			o.Ports[n].Port = resolve.Identifier(p)
		}
	}
	o.workload = w
	o.sayWhatIsMeant(ctx, all)
	return twice(o.Ports)
}

// sayGap warns that a Service may have one workload behind it which the user may
// not see, so that the Service itself is intercepted. It returns the workloads, nil if
// they cannot be listed.
func (o *Options) sayGap(ctx context.Context) *target.Listing {
	found, err := target.Workloads(ctx, o.client, o.namespace)
	if err != nil {
		return nil
	}
	if gap := found.Gap(o.namespace, o.factory.Serves); gap != "" {
		o.progress.Done()
		render.Warn(o.ErrOut, gap+": what "+resolve.RefString(o.Ref)+" selects is intercepted")
	}
	return found
}

// advise adds to a complaint about a port or a Service the flags that would do.
func advise(err error) error {
	var port *resolve.PortError
	if !errors.As(err, &port) || port.Example == "" {
		return err
	}
	return fmt.Errorf("%w; for example %s", err, port.Example)
}

// checkManager refuses at once what the traffic-manager would refuse. It is a
// courtesy: a user without the right to read what the traffic-manager says of itself
// goes on, unless the cluster does not know what an intercept is.
func (o *Options) checkManager(ctx context.Context) error {
	i, err := target.InstalledIfReadable(ctx, o.client, o.factory.ManagerNamespace)
	if err != nil {
		return err
	}
	if obstacle := i.WorkloadObstacle(o.workload); obstacle != nil {
		return fmt.Errorf("%s cannot be intercepted: %w", o.workload, obstacle)
	}
	if i != nil {
		return nil
	}
	known, err := o.factory.Serves(v1alpha1.GroupVersion())
	if err == nil && !known {
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
	// Whoever interrupts the write itself would not know what to undo.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoDeadline)
	defer cancel()
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
