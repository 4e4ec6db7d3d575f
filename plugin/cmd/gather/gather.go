// Package gather is `kubectl intercept gather-logs`: it puts into one file what somebody
// else needs to understand a problem.
package gather

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/gather"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// checkTime is how long each check may take.
const checkTime = 10 * time.Second

// Sessions knows the session that the command line means.
type Sessions interface {
	// Folder is where it keeps its files.
	Folder(f *kube.Factory) (*state.Dir, error)
	// Find returns what its process says; nil if there is none.
	Find(ctx context.Context, f *kube.Factory) (*session.Status, error)
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	Output    string
	Anonymize bool
	Now       func() time.Time

	factory  *kube.Factory
	sessions Sessions
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	o := &Options{IOStreams: streams, Now: time.Now, factory: f, sessions: sessions}
	cmd := &cobra.Command{
		Use:                   "gather-logs [-o FILE.zip] [--anonymize]",
		DisableFlagsInUseLine: true,
		Short:                 "Put logs and objects into a zip, without secrets, for a report of a problem",
		Long: templates.LongDesc(`
			Put into one zip what is needed to understand a problem: the logs of the session, of
			intercept-netd, of the traffic-manager and of the agents; Intercepts, Sessions, the
			pods of what is intercepted and the Events about it; the versions, and what
			kubectl intercept check finds. Logs of applications are not in it.

			What cannot be read is left out, and the file not-read.txt in the zip says why.

			Tokens and passwords are taken out, and so are the values of all environment
			variables and headers, the command lines of applications, and the conditions of
			intercepts. An application may name its secrets in a way that nobody expects: look
			through the zip before you publish it.

			With --anonymize, namespaces, pods, users and hosts have made-up names, which are the
			same ones everywhere in the zip. Names that every cluster has, such as default, stay.`),
		Example: templates.Examples(`
			# A zip in this folder
			kubectl intercept gather-logs

			# One for strangers
			kubectl intercept gather-logs --anonymize -o problem.zip`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "The `FILE.zip` to write (default: kubectl-intercept-logs-TIME.zip in this folder)")
	cmd.Flags().BoolVar(&o.Anonymize, "anonymize", false, "Replace the names of namespaces, pods, users and hosts by made-up ones")
	return cmd
}

// Run gathers, and writes the file.
func (o *Options) Run(ctx context.Context) (err error) {
	now := o.Now()
	path := o.Output
	if path == "" {
		path = "kubectl-intercept-logs-" + now.UTC().Format("20060102-150405") + ".zip"
	}
	// A file that cannot be written is known before everything is read.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: name another file with -o", path)
	}
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			_ = os.Remove(path) // half a file is of no use
		}
	}()
	progress := render.NewProgress(o.ErrOut)
	defer progress.Done()
	b, err := o.gatherer(progress.Step).Run(ctx)
	if err != nil {
		return err
	}
	progress.Done()
	if err := b.Write(f, now); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	for _, file := range b.Files() {
		fmt.Fprintf(o.ErrOut, "%s: %s\n", file.Name, render.Count(int64(file.Lines()), "line"))
	}
	for _, m := range b.Missing() {
		render.Warn(o.ErrOut, "not read: "+m.Part+": "+m.Why)
	}
	_, err = fmt.Fprintln(o.Out, path)
	return err
}

// gatherer has what the kubeconfig and this machine give.
func (o *Options) gatherer(progress func(string)) *gather.Gatherer {
	g := &gather.Gatherer{
		ManagerNamespace: o.factory.ManagerNamespace, Anonymize: o.Anonymize, Progress: progress,
		Folder: func() (*state.Dir, error) { return o.sessions.Folder(o.factory) },
		Status: func(ctx context.Context) (*session.Status, error) { return o.sessions.Find(ctx, o.factory) },
		Check: func(ctx context.Context) (*check.Report, error) {
			e, err := check.NewEnv(o.factory)
			if err != nil {
				return nil, err
			}
			return check.Run(ctx, check.Categories(e, false), checkTime, nil), nil
		},
		Netd: netd.Default(genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}),
	}
	if host, err := os.Hostname(); err == nil {
		g.Host = host
	}
	if u, err := user.Current(); err == nil {
		g.User = u.Username
	}
	g.ConfigErr = o.connect(g)
	return g
}

// connect makes the clients.
func (o *Options) connect(g *gather.Gatherer) error {
	var err error
	if g.Namespace, err = o.factory.Namespace(); err != nil {
		return err
	}
	cfg, err := o.factory.ToRESTConfig()
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	g.Config = rest.CopyConfig(cfg)
	g.Config.WarningHandler = rest.NoWarnings{}
	if g.Client, err = kube.NewClient(g.Config); err != nil {
		return err
	}
	g.Kube, err = kubernetes.NewForConfig(g.Config)
	return err
}
