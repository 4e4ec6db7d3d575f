package uninstall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/rollout"
)

// Releases is what the command needs of helm.Client.
type Releases interface {
	Get(context.Context) (*helm.Release, error)
	Uninstall(ctx context.Context, timeout time.Duration, wait bool) (*helm.Release, error)
	DeleteCRDs(context.Context) ([]string, error)
	Command(verb string) string
}

// Options is what the flags come to.
type Options struct {
	genericiooptions.IOStreams
	Namespace  string
	Force      bool
	DeleteCRDs bool
	Wait       bool
	// DryRun says what would be done, and does nothing.
	DryRun  bool
	Timeout time.Duration
	// Interval between two looks at what is still there.
	Interval time.Duration
	// Now is the clock that ages are told by.
	Now      func() time.Time
	Releases Releases
	Client   client.Client
	Kube     kubernetes.Interface
}

// Run uninstalls. The traffic-manager is the one who takes redirects out of the
// pods, so intercepts end while it still runs; sessions, and what it could not
// end, go after it, when nobody can make new ones.
func (o *Options) Run(ctx context.Context) error {
	rel, left, err := o.check(ctx)
	if err != nil {
		return err
	}
	where, err := o.scope(ctx, rel)
	if err != nil {
		return err
	}
	if o.DryRun {
		return o.plan(ctx, rel, where)
	}
	if err := o.endIntercepts(ctx, where); err != nil {
		return err
	}
	if rel != nil && o.managerRuns(ctx) {
		if err := o.removeAgents(ctx, where); err != nil {
			return err
		}
		o.readopt(ctx, where)
	}
	var kept []string
	var notGone error // a pod hangs, say: Helm has forgotten the release by then
	if rel != nil {
		kept, err = o.uninstall(ctx, rel)
		if err != nil && !errors.Is(err, helm.ErrNotGone) {
			return err
		}
		notGone = err
	}
	if err := o.removeRemains(ctx); err != nil {
		return err
	}
	if err := o.clean(ctx, where); err != nil {
		return err
	}
	if o.DeleteCRDs {
		kept = nil
		deleted, err := o.deleteCRDs(ctx)
		if err != nil {
			return err
		}
		if rel == nil && !deleted && !left {
			return fmt.Errorf("%s is %w in namespace %s, and there are no definitions", helm.ReleaseName, helm.ErrNotInstalled, o.Namespace)
		}
	}
	if notGone != nil {
		return notGone
	}
	if rel == nil && !left {
		return nil
	}
	if rel == nil {
		_, err = fmt.Fprintf(o.Out, "what was left of %s in namespace %s is removed\n", helm.ReleaseName, o.Namespace)
		return err
	}
	fmt.Fprintf(o.ErrOut, "Kept: %s\n", describeKept(o.Namespace, kept))
	_, err = fmt.Fprintf(o.Out, "%s uninstalled from namespace %s\n", rel, o.Namespace)
	return err
}

// check returns the release, or why it must not be uninstalled. Where Helm knows
// of none, left says that something else of an installation is there; with
// DeleteCRDs the definitions may be all of it.
func (o *Options) check(ctx context.Context) (rel *helm.Release, left bool, err error) {
	rel, absent := o.Releases.Get(ctx)
	if absent != nil && !errors.Is(absent, helm.ErrNotInstalled) {
		return nil, false, absent
	}
	if !o.Force {
		if err := helm.CheckGitOps(ctx, o.Kube, o.Namespace, rel); err != nil {
			return nil, false, err
		}
	}
	if absent != nil {
		if left, err = o.anything(ctx); err != nil {
			return nil, false, err
		}
	}
	if o.DeleteCRDs {
		return rel, left, o.checkAlone(ctx)
	}
	if absent != nil && !left {
		return nil, false, absent
	}
	return rel, left, nil
}

// uninstall has Helm delete the release and returns what it kept.
func (o *Options) uninstall(ctx context.Context, rel *helm.Release) ([]string, error) {
	fmt.Fprintf(o.ErrOut, "Uninstalling %s from namespace %s\n", rel, o.Namespace)
	var gone *helm.Release
	uninstall := func(ctx context.Context) (err error) {
		gone, err = o.Releases.Uninstall(ctx, o.Timeout, o.Wait)
		return err
	}
	if !o.Wait {
		if err := uninstall(ctx); err != nil {
			return nil, err
		}
		return gone.Kept, nil
	}
	watch := rollout.Watcher{Client: o.Kube, Namespace: o.Namespace, Name: helm.ReleaseName, Out: o.ErrOut}
	why, err := watch.FollowAway(ctx, uninstall)
	if errors.Is(err, helm.ErrNotGone) && why != "" {
		return nil, fmt.Errorf("%w\n%s", err, why)
	}
	if err != nil {
		return nil, err
	}
	return gone.Kept, nil
}
