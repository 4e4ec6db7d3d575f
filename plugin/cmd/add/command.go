package add

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
)

// command splits the arguments at "--", and checks the command behind it.
func (f *Flags) command(cmd *cobra.Command, args []string) (workload, command []string, err error) {
	dash := cmd.ArgsLenAtDash()
	if dash < 0 || f.Container.Run {
		return args, nil, nil
	}
	workload, command = args[:dash], args[dash:]
	if len(command) == 0 {
		return nil, nil, errors.New("which command? It goes after --, for example kubectl intercept add deploy/quote --port 8080 -- npm start")
	}
	if err := f.attached(cmd.Flags(), "command"); err != nil {
		return nil, nil, err
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	return workload, command, nil
}

// attached checks the flags of an intercept that ends with a command or a container, which
// what names.
func (f *Flags) attached(fs *pflag.FlagSet, what string) error {
	switch {
	case !f.Wait:
		return fmt.Errorf("--wait=false: the %s begins when the intercept is active, so this waits: leave the flag out", what)
	case fs.Changed("dry-run") && fs.Lookup("dry-run").Value.String() != "none":
		return fmt.Errorf("--dry-run makes no intercept, and the %s needs one: leave one of the two out", what)
	case fs.Changed("output"):
		return fmt.Errorf("--output prints an object to the standard output, which is the %s's: leave one of the two out", what)
	}
	return nil
}

// during makes the intercept, runs the command or the container, and ends the intercept. What
// it prints goes to the error output.
func (o *Options) during(ctx context.Context) error {
	if o.handler != nil {
		if err := o.handler.prepare(ctx, o); err != nil {
			return err
		}
	}
	made, err := o.MakeForCommand(ctx, o.sessions)
	if err != nil {
		return err
	}
	return made.During(ctx, o.ErrOut, func(work context.Context) error {
		if o.handler != nil {
			o.CopyVolumes() // an engine is another user, or on another machine, and sees no mount of ours
		}
		err := o.Mount(ctx, made)
		if err = errors.Join(err, o.report(ctx, o.ErrOut, made)); err != nil {
			return err
		}
		e, err := o.Environment(ctx, made)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if o.handler != nil {
			return o.runContainer(ctx, work, made, e)
		}
		return program.Run(work, o.IOStreams, environment.Command(os.Environ(), e), o.Command)
	})
}
