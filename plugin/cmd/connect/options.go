package connect

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Access is a way into the cluster.
type Access struct {
	Transport string
	// Proxy is where a proxy shall listen; "" is a network interface.
	Proxy string
	// Device is the interface. Its namespace is the proxy's, too.
	Device state.Device
	// Holder is the holder of the access: the name of a command, or state.Standing until
	// disconnect.
	Holder string
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	Access Access
	// Via makes the intercept from whose pod connections leave; nil: from the traffic-manager.
	Via     *intercept.Options
	Timeout time.Duration
	// Command is what runs meanwhile; empty: access stays.
	Command []string

	factory  *kube.Factory
	sessions Sessions
}

// leaveTimeout bounds closing the way after a command.
const leaveTimeout = 15 * time.Second

// Run opens the way and says what there is.
func (o *Options) Run(ctx context.Context) error {
	if len(o.Command) > 0 {
		return o.during(ctx)
	}
	n, err := o.connect(ctx)
	if err != nil {
		return err
	}
	if n.Replaced != "" {
		fmt.Fprintf(o.ErrOut, "this replaces what kubectl intercept connect gave before: %s\n", n.Replaced)
	}
	if o.Access.Proxy != "" {
		return PrintVariables(o.Out, n, o.outside())
	}
	fmt.Fprintf(o.ErrOut, "connected: %s\n", n.Device)
	for _, c := range n.Device.Clashing {
		fmt.Fprintf(o.ErrOut, "%s stays this machine's: the cluster's addresses there appear under %s\n", c, n.Device.Virtual)
	}
	return nil
}

func (o *Options) connect(ctx context.Context) (*session.Network, error) {
	if o.Access.Proxy == "" { // a user who types a password may take long
		socket, release, err := o.sessions.Helper(ctx, o.IOStreams)
		if err != nil {
			return nil, err
		}
		defer release() // it only hangs up
		o.Access.Device.Socket = socket
	}
	if o.Via != nil {
		made, done, err := o.Via.MakeForAccess(ctx, o.sessions)
		if err != nil {
			return nil, err
		}
		defer done()
		o.Access.Device.Via = made.Namespace + "/" + made.Name
		fmt.Fprintf(o.ErrOut, "connections leave from pod %s\n", made.Status.StandIn.Pod)
	}
	ctx, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	steps := render.NewProgress(o.ErrOut)
	defer steps.Done()
	n, err := o.sessions.Connect(ctx, o.factory, &o.Access, steps.Step)
	return n, target.TimedOut(ctx, o.Timeout, err)
}

// during opens the way, runs the command and closes the way, unless there are other
// holders.
func (o *Options) during(ctx context.Context) error {
	o.Access.Holder = rand.Text()
	alive, err := o.sessions.Command(o.factory, o.Access.Holder)
	if err != nil {
		return err
	}
	defer alive.Close() // what is left of it does no harm
	n, err := o.connect(ctx)
	if err != nil {
		_ = o.release(ctx) // the session may open the way after all
		return err
	}
	if n.Replaced != "" {
		fmt.Fprintf(o.ErrOut, "until the command ends this replaces what kubectl intercept connect gave: %s\n", n.Replaced)
	}
	env := os.Environ()
	if o.Access.Proxy != "" {
		for _, v := range Variables(n, o.outside()) {
			env = append(env, v[0]+"="+v[1])
		}
	}
	err = program.Run(context.WithoutCancel(ctx), o.IOStreams, env, o.Command) // interrupts are the command's
	if rerr := o.release(ctx); rerr != nil && err == nil {
		err = fmt.Errorf("disconnect: %w", rerr)
	}
	return err
}

func (o *Options) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	return o.sessions.Release(ctx, o.factory, o.Access.Holder)
}
