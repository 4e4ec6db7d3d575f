package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/inside"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/mounts"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/topod"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

const (
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
	// Via says that its connections leave from the pod that Intercept stands in for.
	Via bool
	// Device is the program's network, but for its socket.
	Device    state.Device
	Transport string
	Timeout   time.Duration

	factory  *kube.Factory
	sessions Sessions
}

// Run runs the program. The error is a *program.ExitError if it ended badly.
func (o *Options) Run(ctx context.Context) error {
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
	if !o.Via {
		if err := o.connect(ctx); err != nil {
			return err
		}
	}
	p, err := publish(space.Socket(), o.Publish)
	if err != nil {
		return err
	}
	defer p.close()
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.Intercept == nil {
		return o.program(context.WithoutCancel(ctx), space, nil, nil) // interrupts are the program's
	}
	made, err := o.Intercept.MakeForCommand(ctx, isolatedSessions{o.sessions, space.Socket()})
	if err != nil {
		return err
	}
	return made.During(ctx, o.ErrOut, func(work context.Context) error {
		if !inside.SeesMounts() {
			o.Intercept.CopyVolumes()
		}
		err := o.Intercept.Mount(ctx, made)
		if err = errors.Join(err, o.report(made)); err != nil {
			return err
		}
		if o.Via {
			o.Device.Via = made.Namespace + "/" + made.Name
			if err := o.connect(ctx); err != nil {
				return err
			}
		}
		if err := o.put(space, made.Volumes); err != nil {
			return err
		}
		e, err := o.Intercept.Environment(ctx, made)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		return o.program(work, space, made, e)
	})
}

// report says what comes to the program, and which pod's place it has.
func (o *Options) report(made *intercept.Made) error {
	if made.Spec.Mode != v1alpha1.ModeIngest {
		return render.Intercept(o.ErrOut, made.Intercept, made.MountPoint())
	}
	s, volumes := made.Status.StandIn, ""
	switch v := made.Volumes; {
	case v == nil:
	case v.Error != "":
		volumes = ", with its volumes at " + v.Line()
	default:
		volumes = ", with its volumes at their own paths and below " + v.Line()
	}
	_, err := fmt.Fprintf(o.ErrOut, "in place of container %s of pod %s%s\n", s.Container, s.Pod, volumes)
	return err
}

// put shows the program the volumes where the container has them.
func (o *Options) put(space *inside.Space, v *mounts.Volumes) error {
	if v == nil || v.Dir == "" || len(v.Paths) == 0 {
		return nil
	}
	notices, err := space.Put(inside.Volumes{Dir: v.Dir, Paths: v.Paths})
	for _, n := range notices {
		render.Warn(o.ErrOut, n)
	}
	return err
}

// program runs the program with the environment of a container. Made is nil if there is no
// intercept. The program ends when ctx does.
func (o *Options) program(ctx context.Context, space *inside.Space, made *intercept.Made, e environment.Environment) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go o.keep(ctx, space, made)
	return space.Run(ctx, environment.Command(os.Environ(), e))
}

// supervisor is this program again, as the process inside.
func (o *Options) supervisor() (*exec.Cmd, error) {
	exe, err := program.Self()
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
	name, p := "", state.Program{}
	if made != nil {
		name, p = made.Namespace+"/"+made.Name, state.Program{Command: made.Command, ToPod: topod.Format(o.Intercept.ToPod)}
	}
	return o.sessions.Resume(ctx, o.factory, o.Transport, &o.Device, name, p, start)
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
