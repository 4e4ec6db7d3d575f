package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/inside"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

const (
	// leaveTimeout bounds leaving the intercept after the program.
	leaveTimeout = 15 * time.Second
	// again is the pause before a session that is gone is asked for again.
	again = time.Second
)

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	// Command is the program.
	Command []string
	// Intercept is what comes to its ports; nil: nothing.
	Intercept *intercept.Options
	Publish   []Published
	// Device is the program's network, but for its socket.
	Device    state.Device
	Transport string
	Timeout   time.Duration

	factory  *kube.Factory
	sessions Sessions
}

// Run runs the program. The error is a *program.ExitError if it ended badly.
func (o *Options) Run(ctx context.Context) (err error) {
	cmd, err := o.supervisor()
	if err != nil {
		return err
	}
	space, err := inside.Open(cmd)
	if err != nil {
		return err
	}
	defer space.Close()
	o.Device.Socket, o.Device.Isolated = space.Socket(), true
	if err := o.connect(ctx); err != nil {
		return err
	}
	p, err := publish(space.Socket(), o.Publish)
	if err != nil {
		return err
	}
	defer p.close()
	var made *intercept.Made
	if o.Intercept != nil {
		if made, err = o.Intercept.Make(ctx, isolatedSessions{o.sessions, space.Socket()}); err != nil {
			return err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
			defer cancel()
			if lerr := made.Leave(ctx); lerr != nil && err == nil {
				err = lerr
			} else if lerr != nil {
				fmt.Fprintf(o.ErrOut, "warning: %s\n", render.Error(lerr))
			}
		}()
		if err := render.Intercept(o.ErrOut, made.Intercept); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	kctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // interrupts are the program's
	defer stop()
	go o.keep(kctx, space, made)
	return space.Run()
}

// supervisor is this program again, as the process inside.
func (o *Options) supervisor() (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("make a network for the program: %w", err)
	}
	cmd := exec.Command(exe, append([]string{inside.Command, "--"}, o.Command...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.In, o.Out, program.Plain(o.ErrOut)
	return cmd, nil
}

func (o *Options) connect(ctx context.Context) error {
	ctx, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	steps := render.NewProgress(o.ErrOut)
	defer steps.Done()
	return target.TimedOut(ctx, o.Timeout, o.sessions.OpenIsolated(ctx, o.factory, o.Transport, &o.Device, steps.Step))
}

// keep has another session serve the network when the session that did is gone. It prints
// nothing, because the terminal is the program's.
func (o *Options) keep(ctx context.Context, space *inside.Space, made *intercept.Made) {
	for {
		select {
		case <-space.Lost():
		case <-ctx.Done():
			return
		}
		for start := false; ctx.Err() == nil; start = true {
			if o.resume(ctx, made, start) == nil {
				break
			}
			select {
			case <-time.After(again):
			case <-ctx.Done():
			}
		}
	}
}

func (o *Options) resume(ctx context.Context, made *intercept.Made, start bool) error {
	ctx, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	name := ""
	if made != nil {
		name = made.Namespace + "/" + made.Name
	}
	return o.sessions.Resume(ctx, o.factory, o.Transport, &o.Device, name, start)
}

// isolatedSessions serve an intercept of a program with a localhost of its own.
type isolatedSessions struct {
	Sessions
	socket string
}

// Ensure implements intercept.Sessions.
func (s isolatedSessions) Ensure(ctx context.Context, f *kube.Factory, transport string, progress func(string)) (*intercept.Session, error) {
	return s.EnsureIsolated(ctx, f, transport, s.socket, progress)
}
