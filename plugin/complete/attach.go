package complete

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// patience is how long the cluster may take. A shell that waits cannot be typed into.
const patience = time.Second

// Completer completes the words of a command line.
type Completer struct {
	factory *kube.Factory
	// dashed says that "--" was typed: what is completed is a program's.
	dashed   bool
	client   func() (client.Reader, error)
	patience time.Duration
}

// New returns a Completer of a command line, whose last argument is being typed, with the
// flags that all commands share.
func New(f *kube.Factory, args []string) *Completer {
	dashed := slices.Contains(args[:max(0, len(args)-1)], "--")
	return &Completer{factory: f, dashed: dashed, patience: patience, client: func() (client.Reader, error) { return f.Client() }}
}

// Attach gives each command and each flag below root what completes it. A command or a flag
// with a function of its own keeps that.
func (c *Completer) Attach(root *cobra.Command) {
	arguments, flags := c.arguments(), c.flags()
	attach := func(cmd *cobra.Command, fs *pflag.FlagSet) {
		fs.VisitAll(func(f *pflag.Flag) {
			fn := flags[f.Name]
			if f.Name == "output" && strings.HasPrefix(f.Usage, "Output format") { // else a file's name
				fn = fixed(formats(cmd)...)
			}
			if _, has := cmd.GetFlagCompletionFunc(f.Name); fn != nil && !has {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, fn) // it fails if there is no such flag
			}
		})
	}
	attach(root, root.PersistentFlags())
	each(root, func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), root.CommandPath()+" ")
		if fn := arguments[path]; fn != nil {
			cmd.ValidArgsFunction = fn
		}
		attach(cmd, cmd.LocalNonPersistentFlags())
	})
}

func each(c *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		f(sub)
		each(sub, f)
	}
}

// arguments are by the command's name, without that of the program.
func (c *Completer) arguments() map[string]cobra.CompletionFunc {
	return map[string]cobra.CompletionFunc{
		"add":                c.workloads,
		"run":                c.workloads,
		"env":                c.workloads,
		"logs":               c.logs,
		"uninstall agent":    c.manyWorkloads,
		"leave":              c.ownIntercepts,
		"preview":            c.anIntercept,
		"loglevel":           fixedArgument("debug", "info", "warn", "error"),
		"completion bash":    cobra.NoFileCompletions,
		"completion install": cobra.NoFileCompletions,
		"license id":         cobra.NoFileCompletions,
		"connect":            c.program,
	}
}

// flags are by the flag's name, which means the same in every command.
func (c *Completer) flags() map[string]cobra.CompletionFunc {
	none := fixed()
	return map[string]cobra.CompletionFunc{
		// kubectl's own
		"namespace":         c.namespaces,
		"manager-namespace": c.managers,
		"context":           c.contexts,
		"cluster":           c.clusters,
		"user":              c.users,
		"dry-run":           fixed("none\tdo it", "client\tprint what would be done", "server\tlet the API server check it as well"),
		"as":                none,
		"as-group":          none,
		"as-uid":            none,
		"server":            none,
		"token":             none,
		"username":          none,
		"password":          none,
		"tls-server-name":   none,
		"request-timeout":   none,
		// what is intercepted
		"port":      c.ports,
		"to-pod":    c.containerPorts,
		"service":   c.services,
		"workload":  c.workloadFlag,
		"container": c.containers,
		"name":      c.ownIntercepts,
		"via":       c.workloadFlag,
		// how
		"inject":            fixed("auto\ta sidecar that is there, else as the namespace admits", "ephemeral\tat once, no pod is replaced", "sidecar\tpods are replaced"),
		"local-protocol":    fixed("auto\task the local program", "http1", "http2"),
		"transport":         fixed("auto", "direct", "service-proxy", "port-forward"),
		"match":             fixed("auto\ta header that is made and shown", "all\tevery HTTP request"),
		"timeout":           none,
		"duration":          fixed("10m", "30m", "1h", "4h"),
		"selector":          none,
		"also-proxy":        none,
		"never-proxy":       none,
		"allow-conflicting": none,
		"virtual-subnet":    none,
		"publish":           none,
		"listen":            none,
		"match-path":        none,
		"match-path-prefix": none,
		"match-path-regex":  none,
		"match-query":       none,
		"match-method":      fixed("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
		"log-level":         fixed("debug", "info", "warn", "error"),
	}
}

// formats are the values of a command's -o.
func formats(cmd *cobra.Command) []cobra.Completion {
	switch {
	case cmd.Flags().Lookup("template") == nil:
		return []cobra.Completion{"json", "yaml"}
	case cmd.Name() == "list":
		return []cobra.Completion{"wide", "name", "json", "yaml", "kyaml", "jsonpath=", "jsonpath-file=", "go-template=", "go-template-file=", "custom-columns=", "custom-columns-file="}
	}
	return []cobra.Completion{"name", "json", "yaml", "kyaml", "jsonpath=", "jsonpath-file=", "go-template=", "go-template-file="}
}

// fixed completes with words that are known; without any, with nothing.
func fixed(words ...cobra.Completion) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		found := having(typed, words)
		for _, w := range found {
			if strings.HasSuffix(w, "=") {
				directive |= cobra.ShellCompDirectiveNoSpace
			}
		}
		return found, directive
	}
}

// fixedArgument is fixed for the first argument alone.
func fixedArgument(words ...cobra.Completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return fixed(words...)(cmd, args, typed)
	}
}

// program leaves what follows "--" to the shell, which knows files. Nothing goes before it.
func (c *Completer) program(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if c.dashed {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// having are the words that begin as it was typed.
func having(typed string, words []string) []string {
	var found []string
	for _, w := range words {
		if strings.HasPrefix(w, typed) {
			found = append(found, w)
		}
	}
	return found
}

// ask has the cluster asked, but no longer than a second: a credential plugin or a network
// that hangs is left alone then.
func (c *Completer) ask(cmd *cobra.Command, typed string, read func(ctx context.Context, r client.Reader, namespace string) ([]string, error)) []string {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, c.patience)
	defer cancel()
	answer := make(chan []string, 1)
	go func() {
		answer <- func() []string {
			namespace, err := c.factory.Namespace()
			if err != nil {
				return nil
			}
			r, err := c.client()
			if err != nil {
				return nil
			}
			words, err := read(ctx, r, namespace)
			if err != nil {
				return nil
			}
			return having(typed, words)
		}()
	}()
	select {
	case words := <-answer:
		return words
	case <-ctx.Done():
		return nil
	}
}
