package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/complete"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Run executes a command line and returns the exit code: 0, 1 after an error,
// which it has printed, or that of the program that the command line names.
func Run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	return execute(ctx, streams, args, sessions{})
}

func execute(ctx context.Context, streams genericiooptions.IOStreams, args []string, s Sessions) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, completes := complete.Request("", args)
	if completes {
		streams.ErrOut = io.Discard
	}
	err := &errOut{w: streams.ErrOut, broken: cancel}
	streams.ErrOut = err
	f := kube.NewFactory()
	warnings(f, streams)
	root := newRoot(f, streams, err, s)
	if completes {
		complete.New(f, args).Attach(root)
	}
	meant, note := asMeant(root, args)
	root.SetArgs(meant)
	root.PersistentPreRun = func(*cobra.Command, []string) {
		if note != "" {
			fmt.Fprintln(err, note)
		}
	}
	if e := root.ExecuteContext(ctx); e != nil {
		var exit *program.ExitError
		if errors.As(e, &exit) {
			return exit.Code
		}
		fmt.Fprintf(err.w, "error: %s\n", strings.TrimSpace(render.Error(e)))
		return 1
	}
	return 0
}

// errOut is the standard error output, which --quiet silences but for errors.
type errOut struct {
	w     io.Writer
	quiet bool
	// broken is called when nobody reads any more, which is as good as Ctrl-C.
	broken func()
}

// Write drops what is written if the user wants quiet.
func (e *errOut) Write(p []byte) (int, error) {
	if e.quiet {
		return len(p), nil
	}
	n, err := e.w.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		e.broken()
	}
	return n, err
}

// Unwrap is the output itself, for programs that write to it.
func (e *errOut) Unwrap() io.Writer { return e.w }

// Fd lets render see whether this is a terminal.
func (e *errOut) Fd() uintptr {
	if f, ok := e.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// asMeant is what the arguments mean to the commands that there are, also those of which the
// last is being typed. The note says what the command line is called here; empty for nothing.
func asMeant(root *cobra.Command, args []string) (meant []string, note string) {
	if _, completes := complete.Request("", args); !completes || len(args) < 3 {
		args, note = usual(args)
		return spell(root, args), note
	}
	words, _ := usual(args[1 : len(args)-1])
	typed := args[len(args)-1]
	return append([]string{args[0]}, spell(root, append(slices.Clone(words), typed))...), ""
}

// spell reads `kubectl intercept NAME --port …`, the way people are used to,
// as `add NAME --port …`, and so TYPE NAME. Flags may come first.
func spell(root *cobra.Command, args []string) []string {
	words := positional(root, args)
	if len(words) == 0 || strings.HasPrefix(words[0], cobra.ShellCompRequestCmd) {
		return args
	}
	known := func(c *cobra.Command) bool { return c.Name() == words[0] || c.HasAlias(words[0]) }
	if words[0] == "help" || words[0] == "completion" || slices.ContainsFunc(root.Commands(), known) {
		return args
	}
	if verbs[words[0]] != "" {
		return words[:1] // a command that does not exist, whatever its flags are
	}
	if !slices.ContainsFunc(args[:dash(args)], isPort) {
		return args
	}
	if len(words) > 1 && !target.IsType(words[0]) {
		return words[:1] // a command that does not exist, whatever its flags are
	}
	return append([]string{"add"}, args...)
}

// isPort says that an argument is --port, in one of its spellings.
func isPort(a string) bool {
	return strings.HasPrefix(a, "-p") || a == "--port" || strings.HasPrefix(a, "--port=")
}

// dash is where the command line of a program begins.
func dash(args []string) int {
	if n := slices.Index(args, "--"); n >= 0 {
		return n
	}
	return len(args)
}

// positional are the arguments that are neither flags of add nor their values.
func positional(root *cobra.Command, args []string) []string {
	add, _, err := root.Find([]string{"add"})
	if err != nil {
		return args
	}
	var words []string
	for n := 0; n < len(args) && args[n] != "--"; n++ {
		name, isLong := strings.CutPrefix(args[n], "--")
		short, isShort := strings.CutPrefix(args[n], "-")
		var f *pflag.Flag
		switch {
		case isLong:
			f = cmp.Or(add.Flags().Lookup(name), root.PersistentFlags().Lookup(name))
		case isShort && len(short) == 1:
			f = cmp.Or(add.Flags().ShorthandLookup(short), root.PersistentFlags().ShorthandLookup(short))
		case !isShort:
			words = append(words, args[n])
		}
		if f != nil && f.NoOptDefVal == "" {
			n++ // its value
		}
	}
	return words
}
