package env

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// leaveTimeout bounds the end of the intercept that the command made.
const leaveTimeout = 15 * time.Second

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	// Intercept takes no traffic. The command makes it and ends it.
	Intercept *intercept.Options
	Syntax    environment.Syntax
	// File is where the environment goes; empty for Out.
	File string

	factory  *kube.Factory
	sessions Sessions
}

// Run prints the environment.
func (o *Options) Run(ctx context.Context) (err error) {
	made, err := o.Intercept.Make(ctx, o.sessions)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
		defer cancel()
		if lerr := made.Leave(ctx); lerr != nil {
			fmt.Fprintf(o.ErrOut, "warning: %s\n", render.Error(lerr))
		}
	}()
	bounded, cancel := target.WithTimeout(ctx, o.Intercept.Timeout)
	defer cancel()
	p, err := o.sessions.Process(bounded, o.factory, made.Namespace, made.Name)
	if err != nil {
		return target.TimedOut(bounded, o.Intercept.Timeout, err)
	}
	if p.Overwritten {
		return fmt.Errorf("the process of container %s in pod %s has written something else over its environment, as nginx and PostgreSQL do with their titles: nobody can read it", made.Status.StandIn.Container, made.Status.StandIn.Pod)
	}
	return o.write(environment.Of(p.Environment, environment.Added{Container: made.Status.StandIn.Container}))
}

// write writes the environment, and names what the syntax cannot express.
func (o *Options) write(e environment.Environment) error {
	var left []environment.LeftOut
	var err error
	if o.File != "" {
		left, err = o.Syntax.WriteFile(o.File, e)
	} else {
		var text []byte
		text, left = o.Syntax.Encode(e)
		_, err = o.Out.Write(text)
	}
	if err != nil {
		return err
	}
	for _, line := range environment.Explain(left) {
		render.Warn(o.ErrOut, "syntax "+string(o.Syntax)+" has no way to say "+line)
	}
	return nil
}

// local names what stays this machine's, for the help.
func local() string { return strings.Join(environment.Local(), ", ") }

func syntaxes() string { return strings.Join(environment.Syntaxes(), ", ") }

func completions() []cobra.Completion { return environment.Syntaxes() }
