package intercept

import (
	"context"
	"fmt"
	"io"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/mounts"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/topod"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Session is this machine's side of intercepts.
type Session struct {
	// User owns it, Name is its Session object's.
	User, Name string
	// Track has the background process serve an intercept, and stay alive for it. The
	// process ends the intercept when it finds that the command has ended; the command "" is
	// none, and its Socket is set here. Back undoes that: the intercept is again one of the
	// program before.
	Track func(ctx context.Context, namespace, name string, p state.Program) (back func(context.Context) error, err error)
	// Process is what the process has in whose place an intercept stands.
	Process func(ctx context.Context, namespace, name string) (*process.Process, error)
	// Mount brings the volumes of the container in whose place an intercept stands to this
	// machine. They stay as long as the intercept.
	Mount func(ctx context.Context, namespace, name string, w state.Wish) (*mounts.Volumes, error)
	// Release says that a command has ended. Unless others need it, the background process
	// then ends as well.
	Release func(ctx context.Context, command string) error
	// Keep starts the background process again for a command whenever it is gone, until ctx
	// ends. The new one serves the same intercepts. Nil: the caller has a way of its own.
	Keep func(ctx context.Context, command string)
}

// Sessions brings up the background process that receives the traffic.
type Sessions interface {
	// Ensure returns once the session is connected. Meanwhile progress hears what
	// happens.
	Ensure(ctx context.Context, f *kube.Factory, transport string, progress func(string)) (*Session, error)
	// Command shows the background process that a command runs, until the command closes
	// what it returns, or ends.
	Command(f *kube.Factory, name string) (io.Closer, error)
}

// dryRunSession stands for the session that a dry run does not start.
const dryRunSession = "dry-run"

// Request is what is intercepted, and how.
type Request struct {
	Ref v1alpha1.WorkloadReference
	// Untyped says that the command line names no type, so that Ref's is a guess.
	Untyped   bool
	Namespace string
	Ports     []v1alpha1.InterceptPort
	Match     *Match // nil: every connection
	Mirror    bool   // this machine gets copies, and the application answers
	// Ingest leaves all traffic to the application: the intercept is there for StandIn.
	Ingest bool
	// Replace stops the container of StandIn in every pod. Ports need not be named.
	Replace bool
	// StandIn asks for a pod that this machine can stand in for.
	StandIn         *v1alpha1.StandIn
	Service, Name   string
	Inject          v1alpha1.InjectMode
	KeepEstablished bool
	NoFallback      bool
	// Preview asks for a preview URL; nil: none.
	Preview *v1alpha1.Preview
	// Unsaid is what an intercept that exists keeps.
	Unsaid Unsaid
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams
	Request

	Factory   *kube.Factory
	Transport string
	// Wait is for traffic to arrive here. Timeout is for all that Make does.
	Wait    bool
	Timeout time.Duration
	DryRun  cmdutil.DryRunStrategy

	// Files are where the environment of the container goes that Request.StandIn names.
	Files environment.Files

	// ToPod are ports of localhost that lead to the same ports of the pod. Make adds those of
	// the pod's other containers if a command has the pod's network.
	ToPod []topod.Port
	// Listens are TCP ports of localhost at which a command listens, beside those of Ports.
	Listens []int32

	unnamed     bool // the intercept is a command's own, and nobody names it
	access      bool // see AccessOptions
	environment bool // the command after "--" gets it, too
	network     bool // and the pod's network
	noNeighbors bool // but not the ports of its other containers
	mount       mount.Wish
	mountTyped  bool   // the command line has --mount
	command     string // see MakeForCommand; "" if the intercept stays
}

// Made is an intercept that Make made.
type Made struct {
	*v1alpha1.Intercept
	// Resolved are the containers' ports for which the intercept's ports stand.
	Resolved []v1alpha1.ResolvedPort
	// Command is the name of the command with which the intercept ends; "" if it stays.
	Command string
	// Volumes are those of the container that the intercept stands in for, on this machine;
	// nil if they are not here.
	Volumes *mounts.Volumes

	unnamed  bool // see Options
	client   client.WithWatch
	workload *resolve.Workload
	session  *Session
	timeout  time.Duration
	runs     io.Closer // what shows that the command runs; nil if the intercept stays
}

// maker makes one intercept.
type maker struct {
	*Options

	client   client.WithWatch
	progress *render.Progress
	workload *resolve.Workload
	resolved []v1alpha1.ResolvedPort
	session  *Session
	// back is that of Session.Track; nil before the intercept is tracked.
	back func(context.Context) error
}

// Make makes an intercept, or changes the one that the user has of the workload.
func (o *Options) Make(ctx context.Context, sessions Sessions) (*Made, error) {
	return (&maker{Options: o}).make(ctx, sessions)
}

func (m *maker) make(ctx context.Context, sessions Sessions) (*Made, error) {
	o := m.Options
	m.progress = render.NewProgress(o.ErrOut)
	defer m.progress.Done()
	bounded, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	i, before, err := m.request(bounded, sessions)
	if err != nil {
		return nil, target.TimedOut(bounded, o.Timeout, err)
	}
	if o.Wait && o.DryRun == cmdutil.DryRunNone {
		i, err = m.await(ctx, bounded, i, before)
	}
	if err != nil {
		return nil, err
	}
	return &Made{Intercept: i, Resolved: m.resolved, unnamed: o.unnamed, client: m.client, workload: m.workload, session: m.session, timeout: o.Timeout}, nil
}

// request creates or changes the intercept, and has the session serve it.
func (m *maker) request(ctx context.Context, sessions Sessions) (i, before *v1alpha1.Intercept, err error) {
	if m.client, err = m.Factory.Client(); err != nil {
		return nil, nil, err
	}
	if err := m.Settle(ctx, m.client); err != nil {
		return nil, nil, err
	}
	m.progress.Step("resolving " + resolve.RefString(m.Ref))
	if err := m.resolve(ctx); err != nil {
		return nil, nil, err
	}
	if err := m.checkManager(ctx); err != nil {
		return nil, nil, err
	}
	if err := m.checkReplace(); err != nil {
		return nil, nil, err
	}
	m.addNeighbors()
	m.warnOfProbes()
	user, err := target.User(ctx, m.client)
	if err != nil {
		return nil, nil, err
	}
	s := &Session{User: user, Name: dryRunSession}
	if m.DryRun == cmdutil.DryRunNone {
		if s, err = sessions.Ensure(ctx, m.Factory, m.Transport, m.progress.Step); err != nil {
			return nil, nil, err
		}
	}
	m.session = s
	if m.access {
		m.Name = accessName(m.Ref, s.Name)
	}
	if i, before, err = m.apply(ctx, s); err != nil {
		return nil, nil, m.withoutRight(err)
	}
	if m.DryRun == cmdutil.DryRunNone {
		p := state.Program{Command: m.command, ToPod: topod.Format(m.ToPod), Hosts: hosts(m.Ports), Access: m.access}
		if m.back, err = s.Track(ctx, i.Namespace, i.Name, p); err != nil {
			if ctx.Err() != nil {
				err = m.interrupted()
			}
			return nil, nil, m.undo(ctx, i, before, err)
		}
		m.warnOfTakeover(ctx, before, s)
	}
	return i, before, nil
}

// checkManager refuses at once what the traffic-manager would refuse later. A user without
// the right to read what the traffic-manager says about itself goes on, unless the cluster
// does not know what an intercept is.
func (m *maker) checkManager(ctx context.Context) error {
	i, err := target.InstalledIfReadable(ctx, m.client, m.Factory.ManagerNamespace)
	if err != nil {
		return err
	}
	if obstacle := i.WorkloadObstacle(m.workload); obstacle != nil {
		return fmt.Errorf("%s cannot be intercepted: %w", m.workload, obstacle)
	}
	if obstacle := i.GlobalObstacle(m.Namespace); obstacle != nil && m.Match.all() && !m.keepsConditions(ctx) {
		return fmt.Errorf("%s cannot be intercepted like this: %w", m.workload, obstacle)
	}
	if i != nil {
		return nil
	}
	known, err := m.Factory.Serves(v1alpha1.GroupVersion())
	if err == nil && !known {
		return &target.NotInstalledError{Namespace: m.Factory.ManagerNamespace}
	}
	return nil
}
