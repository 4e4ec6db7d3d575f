package env

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	// Intercept takes no traffic. The command makes it and ends it.
	Intercept *intercept.Options
	Syntax    environment.Syntax
	// File is where the environment goes; empty for Out.
	File string

	sessions intercept.Sessions
}

// Run prints the environment.
func (o *Options) Run(ctx context.Context) error {
	made, err := o.Intercept.MakeForCommand(ctx, o.sessions)
	if err != nil {
		return err
	}
	return made.During(ctx, o.ErrOut, func(context.Context) error {
		e, err := made.Environment(ctx)
		if err != nil {
			return err
		}
		return o.write(e)
	})
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

func completions() []cobra.Completion { return environment.Syntaxes() }
