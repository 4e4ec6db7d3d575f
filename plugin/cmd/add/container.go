package add

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/container"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// containerFlags say that a container is the local program, as they were typed.
type containerFlags struct {
	Run    bool
	Engine string
}

func (f *containerFlags) add(fs *pflag.FlagSet) {
	fs.BoolVar(&f.Run, "docker-run", false, "The local program is a container: what follows -- are arguments of \"docker run\", the image among them")
	fs.StringVar(&f.Engine, "container-engine", "", "Program that runs the container: docker, podman, nerdctl, or the path of one (default: $"+container.Variable+", or the first of them that works)")
}

// complete lets shells complete the value of --container-engine.
func (f *containerFlags) complete(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("container-engine", cobra.FixedCompletions(container.Engines(), cobra.ShellCompDirectiveDefault)) // it fails if there is no such flag
}

// handler is a container that will handle an intercept.
type handler struct {
	args   *container.Args
	engine string  // as it was chosen; "" if it was not
	inside []int32 // the container's port for each --port; 0: that of the pod

	found *container.Engine
}

// toHandler takes what is for the container out of the command line: the words behind the
// workload, and the container's ports in --port. It returns nil if no container is wanted.
func (f *Flags) toHandler(cmd *cobra.Command, args []string) (workload []string, h *handler, err error) {
	if !f.Container.Run {
		if f.Container.Engine != "" {
			return nil, nil, errors.New("--container-engine is about --docker-run: add that flag, or leave this one out")
		}
		return args, nil, nil
	}
	n := min(1, len(args)) // words of the workload: NAME, TYPE/NAME or TYPE NAME
	if len(args) > 1 && target.IsType(args[0]) && f.Workload == "" {
		n = 2
	}
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		n = min(n, dash)
	}
	h = &handler{engine: cmp.Or(f.Container.Engine, os.Getenv(container.Variable))}
	if h.args, err = container.ParseArgs(slices.Clone(args[n:])); err != nil {
		return nil, nil, err
	}
	if f.Ports, h.inside, err = container.SplitPorts(f.Ports); err != nil {
		return nil, nil, err
	}
	return args[:n], h, f.attached(cmd.Flags(), "container")
}

// prepare finds an engine, and has it get the image.
func (h *handler) prepare(ctx context.Context, o *Options) (err error) {
	if h.found, err = container.Find(ctx, h.engine); err != nil {
		return err
	}
	return h.found.Fetch(ctx, h.args, o.ErrOut)
}

// container is the one that handles an intercept.
func (o *Options) container(ctx context.Context, made *intercept.Made) (*container.Container, error) {
	h := o.handler
	c := &container.Container{Engine: h.found, Args: h.args, Labels: []string{
		"kubectl-intercept.dev/intercept=" + made.Name, "kubectl-intercept.dev/namespace=" + made.Namespace, "kubectl-intercept.dev/id=" + string(made.UID)}}
	if h.args.Name == "" {
		name := "intercept-" + made.Name
		id, _, _ := strings.Cut(string(made.UID), "-")
		c.Name = h.found.Free(ctx, name, name+"-"+id)
	}
	for n, p := range made.Spec.Ports {
		inside := made.Resolved[n].ContainerPort
		if h.inside[n] != 0 {
			inside = h.inside[n]
		}
		c.Ports = append(c.Ports, container.Port{Host: p.LocalHost, Local: p.LocalPort, Container: inside, Protocol: strings.ToLower(string(cmp.Or(p.Protocol, corev1.ProtocolTCP)))})
	}
	c.Volumes = volumes(made)
	s, err := o.sessions.Find(ctx, o.Factory)
	if err != nil {
		return nil, err
	}
	if s != nil && s.Network != nil && s.Network.Device != nil {
		d := s.Network.Device
		c.DNS = &container.DNS{Server: d.DNS, Search: d.Search}
	}
	return c, nil
}

// volumes are those of the workload's container on this machine. The local container has
// them at the same paths.
func volumes(made *intercept.Made) (all []container.Volume) {
	if made.Volumes == nil {
		return nil
	}
	for _, path := range made.Volumes.Paths {
		all = append(all, container.Volume{Source: filepath.Join(made.Volumes.Dir, filepath.FromSlash(path)), Path: path})
	}
	return all
}

// runContainer runs the container of an intercept, with the environment e.
func (o *Options) runContainer(ctx, work context.Context, made *intercept.Made, e environment.Environment) error {
	c, err := o.container(ctx, made)
	if err != nil {
		return err
	}
	if e != nil {
		added := environment.Added{Handler: c.CalledName()}
		if len(c.Volumes) > 0 {
			added.Root = "/" // there they are at their own paths
		}
		c.Environment = environment.Of(e, added)
	}
	if err := o.describe(c); err != nil {
		return err
	}
	exe, err := program.Self()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return fmt.Errorf("watch over a container: %w", err)
	}
	return c.Run(work, o.IOStreams, []string{exe, container.WatchCommand})
}

// describe says what the container is, and what it lacks.
func (o *Options) describe(c *container.Container) error {
	value := c.CalledName() + ", by " + c.Engine.Name()
	for _, p := range c.Published() {
		value += "\n" + p
	}
	if err := render.Block(o.ErrOut, "    ", []render.Row{{Label: "Container", Value: value}}); err != nil {
		return err
	}
	for _, host := range c.Elsewhere() {
		render.Warn(o.ErrOut, fmt.Sprintf("%s publishes the port at %s, which is no address of this machine: leave it out of --port, unless %[1]s runs on another machine", c.Engine.Name(), host))
	}
	if c.DNS == nil {
		render.Warn(o.ErrOut, fmt.Sprintf("the container does not reach the cluster, because this machine does not: run kubectl intercept connect -n %s first", o.Namespace))
	}
	return nil
}

// NewWatch returns the hidden command that removes a container when the command that runs it
// was killed.
func NewWatch() *cobra.Command {
	return &cobra.Command{
		Use:               container.WatchCommand,
		Short:             "Remove a container when the command that runs it ends",
		Hidden:            true,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return container.Watch(cmd.Context(), os.Stdin) },
	}
}
