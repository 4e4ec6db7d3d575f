package intercept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/topod"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// StandInFlags say what of a pod's container this machine gets beside its traffic.
type StandInFlags struct {
	Container string
	// NoEnvironment leaves the environment of a command as it is.
	NoEnvironment bool
	// ToPod are ports of localhost that lead to the pod, as they were typed.
	ToPod []string
	Files environment.Flags
	// Mount is where the container's volumes go; unsaidMount if nothing was typed.
	Mount string
	// Network says that a command has the network of the pod; for the caller to set.
	Network bool
}

// unsaidMount is the value of --mount before anything was typed.
const unsaidMount = "with an environment"

func (f *StandInFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Container, "container", "", "Container whose environment and volumes this machine gets, and which --mode replace stops (default: the one with the port)")
	fs.BoolVar(&f.NoEnvironment, "no-env", false, "The command keeps this machine's environment alone. This needs no right to \"create pods/exec\"")
	fs.StringArrayVar(&f.ToPod, "to-pod", nil, "`PORT[/UDP]`: port of localhost that leads to the same port of the pod's localhost, where another container listens. Repeatable. With kubectl intercept run, the ports that other containers declare lead there without it; none leaves them out")
	f.Files.AddFlags(fs)
	fs.StringVar(&f.Mount, "mount", f.Mount, mount.Usage+". Without the flag, a command after -- and the files with the environment have the volumes too")
	fs.Lookup("mount").NoOptDefVal = "true"
}

// apply checks the flags. Command says that the command line has one after "--".
func (f *StandInFlags) apply(o *Options, command bool) (err error) {
	if o.Files, err = f.Files.ToFiles(); err != nil {
		return err
	}
	if o.noNeighbors = slices.Equal(f.ToPod, []string{noPorts}); !o.noNeighbors {
		if o.ToPod, err = topod.ParseAll(f.ToPod); err != nil {
			return fmt.Errorf("--to-pod %w", err)
		}
	}
	o.environment, o.network = command && !f.NoEnvironment, f.Network
	if o.mountTyped = f.Mount != unsaidMount; o.mountTyped {
		if o.mount, err = mount.Parse(f.Mount); err != nil {
			return err
		}
	} else if o.environment || len(o.Files) > 0 {
		o.mount.How = mount.Auto
	}
	switch {
	case o.Replace, o.environment, len(o.Files) > 0, o.mount.How != mount.None, f.Network, len(o.ToPod) > 0:
		o.StandIn = &v1alpha1.StandIn{Container: f.Container}
	case f.Container != "":
		return errors.New("--container says whose environment and volumes this machine gets: add --mount, --env-file, --env-json or a command after --")
	case f.NoEnvironment && !command:
		return errors.New("--no-env is about a command after --: add one, or leave the flag out")
	}
	return nil
}

// Environment gets the environment of the container that m stands in for, without what stays
// this machine's, and writes the files that the flags name. It returns what of it is for the
// command after "--": nothing with --no-env.
func (o *Options) Environment(ctx context.Context, m *Made) (environment.Environment, error) {
	if o.StandIn == nil {
		return nil, nil
	}
	e, err := m.Environment(ctx)
	if err != nil {
		return nil, err
	}
	warnings, err := o.Files.Write(e)
	for _, w := range warnings {
		render.Warn(o.ErrOut, w)
	}
	if !o.environment {
		e = nil
	}
	return e, err
}

// Environment gets the environment of the container that the intercept stands in for,
// without what stays this machine's.
func (m *Made) Environment(ctx context.Context) (environment.Environment, error) {
	bounded, cancel := target.WithTimeout(ctx, m.timeout)
	defer cancel()
	p, err := m.session.Process(bounded, m.Namespace, m.Name)
	if err != nil {
		return nil, target.TimedOut(bounded, m.timeout, err)
	}
	from := m.Status.StandIn
	if p.Overwritten {
		return nil, fmt.Errorf("the process of container %s in pod %s has written a title over its environment and has kept none of its variables, as nginx does: nobody can read them; with --no-env, a command does without", from.Container, from.Pod)
	}
	added := environment.Added{ID: string(m.UID), Name: m.Name, Container: from.Container}
	if m.Volumes != nil {
		added.Root, added.Mounts = m.Volumes.Dir, m.Volumes.Paths
	}
	if m.unnamed {
		added.ID, added.Name = "", ""
	}
	return environment.Of(p.Environment, added), nil
}

// withoutRight adds to a refusal what a user can do without the right to stand in for a pod.
func (m *maker) withoutRight(err error) error {
	without := m.without()
	if without == "" || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "pods/exec") {
		return err
	}
	return fmt.Errorf("%s; with %s, the command does without", render.Error(err), without)
}

// without is what to type so that a command has nothing of the pod but its traffic. It is
// empty if nothing is to be typed, but something to be left out.
func (o *Options) without() string {
	if len(o.Files) > 0 || len(o.ToPod) > 0 || o.Replace {
		return ""
	}
	var flags []string
	if o.environment {
		flags = append(flags, "--no-env")
	}
	if o.mountTyped && o.mount.How != mount.None {
		flags = append(flags, "--mount=false")
	}
	if o.network {
		flags = append(flags, "--via none")
	}
	return strings.Join(flags, " ")
}

// LocalVariables names the variables that stay this machine's, for help texts.
func LocalVariables() string { return strings.Join(environment.Local(), ", ") }
