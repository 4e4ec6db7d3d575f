package add

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
)

// command splits the arguments at "--", and checks the command behind it.
func (f *Flags) command(cmd *cobra.Command, args []string) (workload, command []string, err error) {
	dash := cmd.ArgsLenAtDash()
	if dash < 0 {
		return args, nil, nil
	}
	workload, command = args[:dash], args[dash:]
	switch fs := cmd.Flags(); {
	case len(command) == 0:
		err = errors.New("which command? It goes after --, for example kubectl intercept add deploy/quote --port 8080 -- npm start")
	case !f.Wait:
		err = errors.New("--wait=false: the command begins when the intercept is active, so this waits: leave the flag out")
	case fs.Changed("dry-run") && fs.Lookup("dry-run").Value.String() != "none":
		err = errors.New("--dry-run makes no intercept, and the command needs one: leave one of the two out")
	case fs.Changed("output"):
		err = errors.New("--output prints an object to the standard output, which is the command's: leave one of the two out")
	default:
		if _, lerr := exec.LookPath(command[0]); lerr != nil {
			err = fmt.Errorf("start %s: %w", command[0], lerr)
		}
	}
	return workload, command, err
}

// during makes the intercept, runs the command and ends the intercept. What it prints goes to
// the error output.
func (o *Options) during(ctx context.Context) error {
	made, err := o.MakeForCommand(ctx, o.sessions)
	if err != nil {
		return err
	}
	return made.During(ctx, o.ErrOut, func(work context.Context) error {
		err := o.Mount(ctx, made)
		if err = errors.Join(err, o.report(ctx, o.ErrOut, made)); err != nil {
			return err
		}
		e, err := o.Environment(ctx, made)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		return program.Run(work, o.IOStreams, environment.Command(os.Environ(), e), o.Command)
	})
}
