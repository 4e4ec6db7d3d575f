// Package deploy is what install and upgrade have in common: they look at what
// is there before they change anything, tell what they wait for, and say why,
// when that does not come.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/rollout"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
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
	o.Releases, err = helm.New(f, o.Namespace)
	return err
}

// Render prints what an install would apply. It asks no cluster.
func (o *Options) Render(ctx context.Context) error {
	if err := o.warn(); err != nil {
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
	if err := o.warn(); err != nil {
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

// Install makes the release.
func (o *Options) Install(ctx context.Context) error {
	headline := fmt.Sprintf("Installing %s %s into namespace %s", helm.ReleaseName, o.Apply.Chart.Version(), o.Namespace)
	return o.change(ctx, headline, "installed", o.Releases.Install)
}

// Upgrade changes old.
func (o *Options) Upgrade(ctx context.Context, old *helm.Release) error {
	headline := fmt.Sprintf("Upgrading %s in namespace %s", old, old.Namespace)
	if version := o.Apply.Chart.Version(); version != old.Version {
		headline = fmt.Sprintf("Upgrading %s from %s to %s in namespace %s", old.Name, old.Version, version, old.Namespace)
	}
	return o.change(ctx, headline, "upgraded", o.Releases.Upgrade)
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

// warn is the one place that prints warnings.
func (o *Options) warn() error {
	texts, err := o.Apply.Warnings()
	for _, text := range texts {
		fmt.Fprintf(o.ErrOut, "Warning: %s\n", text)
	}
	return err
}
