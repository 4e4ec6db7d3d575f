// Package deploy is what install and upgrade have in common: they look at what
// is there before they change anything, tell what they wait for, and say why,
// when that does not come.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/rollout"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Releases is what the commands need of helm.Client.
type Releases interface {
	Get(context.Context) (*helm.Release, error)
	CheckPending(*helm.Release) error
	Install(context.Context, helm.Options) (*helm.Release, error)
	Upgrade(context.Context, helm.Options) (*helm.Release, error)
	Command(verb string) string
}

// Options is what the flags come to.
type Options struct {
	genericiooptions.IOStreams
	Namespace string
	Apply     helm.Options
	// Force goes on although a GitOps tool manages the traffic-manager.
	Force    bool
	Releases Releases
	Kube     kubernetes.Interface
	// Proxy opens a connection to the traffic-manager through the API server.
	Proxy func(context.Context) (net.Conn, error)
	// Print writes the result to standard output.
	Print func(w io.Writer, r *helm.Release, verb string) error
}

// New resolves the flags. It loads chart and values, and makes no client: see
// Connect.
func New(ctx context.Context, f *kube.Factory, streams genericiooptions.IOStreams, flags *helm.ApplyFlags) (*Options, error) {
	apply, err := flags.ToOptions(ctx)
	if err != nil {
		return nil, err
	}
	if flags.Debug {
		apply.Debug = streams.ErrOut
	}
	return &Options{
		IOStreams: streams, Namespace: helm.Namespace(f), Apply: apply, Force: flags.Force, Print: flags.Print,
	}, nil
}

// Connect makes the clients.
func (o *Options) Connect(f *kube.Factory) error {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return err
	}
	if o.Kube, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	if o.Proxy, err = proxy(cfg, o.Namespace); err != nil {
		return err
	}
	client, err := helm.New(f, o.Namespace)
	if err == nil {
		client.LogTo(o.Apply.Debug)
	}
	o.Releases = client
	return err
}

// Render prints what an install would apply. It asks no cluster.
func (o *Options) Render(ctx context.Context) error {
	values, err := o.Apply.Effective(nil)
	if err != nil {
		return err
	}
	if err := o.warn(values); err != nil {
		return err
	}
	rel, err := helm.Render(ctx, o.Namespace, o.Apply)
	if err != nil {
		return err
	}
	return o.Print(o.Out, rel, "installed")
}

// Before looks at the cluster, and changes nothing. It returns the release that
// is there, nil if none is, and an error for what no command can change.
func (o *Options) Before(ctx context.Context) (*helm.Release, error) {
	if _, err := o.Apply.Effective(nil); err != nil { // what is misspelled needs no cluster
		return nil, err
	}
	if err := helm.CheckServer(o.Kube.Discovery()); err != nil {
		return nil, err
	}
	rel, err := o.Releases.Get(ctx)
	if err != nil && !errors.Is(err, helm.ErrNotInstalled) {
		return nil, helm.Denied(err)
	}
	if !o.Force {
		if err := helm.CheckGitOps(ctx, o.Kube, o.Namespace, rel); err != nil {
			return nil, helm.Denied(err)
		}
	}
	if rel == nil {
		return nil, nil
	}
	return rel, o.Releases.CheckPending(rel)
}

// prepare looks at the values that there will be, before anything is changed: it
// says what is doubtful, and refuses what cannot be. rel is nil for an install.
// It returns them.
func (o *Options) prepare(ctx context.Context, rel *helm.Release) (values map[string]any, err error) {
	if values, err = o.Apply.Effective(rel); err != nil {
		return nil, err
	}
	if err := o.warn(values); err != nil {
		return nil, err
	}
	o.warnSecret(ctx, values)
	return values, o.alone(ctx, rel, values)
}

// alone refuses namespaces in which another traffic-manager works. A user
// without the right to look around hears of it from the traffic-manager, when that
// starts.
func (o *Options) alone(ctx context.Context, rel *helm.Release, values map[string]any) error {
	neighbors, err := target.Neighbors(ctx, o.Kube, o.Namespace)
	if apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return err
	}
	namespaces := helm.Namespaces(values)
	for _, n := range neighbors {
		problem := n.Overlap(namespaces)
		switch {
		case problem == nil:
		case rel == nil && n.Namespaces == nil:
			return fmt.Errorf("%w; %s changes that one", problem, helm.Command("upgrade", n.Namespace))
		default:
			return problem
		}
	}
	return nil
}

// warnSecret says that the Secret with the license is not there. It may come
// later.
func (o *Options) warnSecret(ctx context.Context, values map[string]any) {
	name := helm.LicenseSecret(values)
	if name == "" {
		return
	}
	if _, err := o.Kube.CoreV1().Secrets(o.Namespace).Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		fmt.Fprintf(o.ErrOut, "Warning: there is no secret %s in namespace %s (license.secret.name): until there is, the traffic-manager has no license\n", name, o.Namespace)
	}
}

// Install makes the release.
func (o *Options) Install(ctx context.Context) error {
	values, err := o.prepare(ctx, nil)
	if err != nil {
		return err
	}
	others, err := o.letConnect(ctx, values)
	if err != nil {
		return err
	}
	headline := fmt.Sprintf("Installing %s %s into namespace %s", helm.ReleaseName, o.Apply.Chart.Version(), o.Namespace)
	if err := o.change(ctx, headline, "installed", o.Releases.Install); err != nil {
		return err
	}
	if o.Apply.DryRun == helm.DryRunNone {
		fmt.Fprint(o.ErrOut, others)
	}
	o.warnClosed(ctx, values)
	return nil
}

// Upgrade changes old.
func (o *Options) Upgrade(ctx context.Context, old *helm.Release) error {
	values, err := o.prepare(ctx, old)
	if err != nil {
		return err
	}
	o.warnNobody(values)
	headline := fmt.Sprintf("Upgrading %s in namespace %s", old, old.Namespace)
	if version := o.Apply.Chart.Version(); version != old.Version {
		headline = fmt.Sprintf("Upgrading %s from %s to %s in namespace %s", old.Name, old.Version, version, old.Namespace)
	}
	if err := o.change(ctx, headline, "upgraded", o.Releases.Upgrade); err != nil {
		return err
	}
	o.warnClosed(ctx, values)
	return nil
}

// change is what the two end in.
func (o *Options) change(ctx context.Context, headline, verb string, do func(context.Context, helm.Options) (*helm.Release, error)) error {
	if o.Apply.DryRun == helm.DryRunNone {
		fmt.Fprintln(o.ErrOut, headline)
	}
	var rel *helm.Release
	change := func(ctx context.Context) (err error) {
		rel, err = do(ctx, o.Apply)
		return err
	}
	watch := rollout.Watcher{Client: o.Kube, Namespace: o.Namespace, Name: helm.ReleaseName, Out: o.ErrOut}
	var why string
	var err error
	if o.Apply.Wait && o.Apply.DryRun == helm.DryRunNone {
		why, err = watch.Follow(ctx, change)
	} else {
		err = change(ctx)
	}
	if errors.Is(err, helm.ErrNotReady) && why != "" {
		return fmt.Errorf("%w\n%s", err, why)
	}
	if err != nil {
		return helm.Denied(err)
	}
	return o.Print(o.Out, rel, verb)
}

// warn prints the warnings of the chart.
func (o *Options) warn(values map[string]any) error {
	texts, err := o.Apply.Warnings(values)
	for _, text := range texts {
		fmt.Fprintf(o.ErrOut, "Warning: %s\n", text)
	}
	return err
}
