package helm

import (
	"context"
	"fmt"
	"io"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
)

// DryRun says how much of an operation is done.
type DryRun string

// The ways of --dry-run.
const (
	DryRunNone   DryRun = "none"
	DryRunClient DryRun = "client"
	DryRunServer DryRun = "server"
)

// Reuse says which values of the release an upgrade keeps.
type Reuse string

// The ways to reuse values.
const (
	// ReuseOverReset takes the new chart's defaults, then what was set before,
	// then what is set now.
	ReuseOverReset Reuse = "reset-then-reuse"
	// ReuseAll also keeps the old chart's defaults.
	ReuseAll Reuse = "reuse"
	// ReuseNone forgets what was set before.
	ReuseNone Reuse = "reset"
	// ReuseDefault is Helm's own: ReuseAll if no value is given, else ReuseNone.
	ReuseDefault Reuse = ""
)

// Options are those of an install or upgrade.
type Options struct {
	Chart           *Chart
	Values          map[string]any
	CreateNamespace bool
	Wait            bool
	Atomic          bool
	Timeout         time.Duration
	DryRun          DryRun
	// TakeOwnership takes over objects that another release, or nobody, made.
	TakeOwnership bool
	MaxHistory    int
	Reuse         Reuse
	// CleanupOnFail deletes what an upgrade that failed has made new.
	CleanupOnFail bool
	// Debug takes Helm's own log; nil means nobody reads it.
	Debug io.Writer
}

// Render renders the chart without a cluster: the same options give the same
// bytes.
func Render(ctx context.Context, namespace string, o Options) (*Release, error) {
	a := action.NewInstall(&action.Configuration{Log: logTo(o.Debug)})
	a.ReleaseName, a.Namespace = ReleaseName, namespace
	a.ClientOnly, a.DryRun, a.DryRunOption = true, true, string(DryRunClient)
	// Helm's own default is older than what the chart requires.
	a.KubeVersion = &chartutil.KubeVersion{Version: "v1.30.0", Major: "1", Minor: "30"}
	r, err := a.RunWithContext(ctx, o.Chart.chart, o.Values)
	if err != nil {
		return nil, fmt.Errorf("render chart: %w", err)
	}
	return o.result(r), nil
}

// result is what Helm made of the options.
func (o Options) result(r *release.Release) *Release {
	out := fromHelm(r)
	out.Values = nonDefault(overlay(r.Config, r.Chart.Values), o.Chart.defaults)
	return out
}

// Install makes the release. It must not exist: see Get.
func (c *Client) Install(ctx context.Context, o Options) (*Release, error) {
	if err := c.claimCRDs(ctx, o, nil); err != nil {
		return nil, err
	}
	a := action.NewInstall(c.cfg)
	a.ReleaseName, a.Namespace = ReleaseName, c.namespace
	a.CreateNamespace, a.Wait, a.Atomic, a.Timeout = o.CreateNamespace, o.Wait, o.Atomic, o.Timeout
	a.DryRunOption, a.TakeOwnership = string(o.DryRun), o.TakeOwnership
	// Over the record that helm uninstall --keep-history leaves.
	a.Replace = true
	r, err := a.RunWithContext(ctx, o.Chart.chart, o.Values)
	if err != nil {
		return nil, fmt.Errorf("install chart: %w", c.explain(err, o))
	}
	return o.result(r), nil
}

// Upgrade changes the release, which must exist.
func (c *Client) Upgrade(ctx context.Context, o Options) (*Release, error) {
	last, err := c.cfg.Releases.Last(ReleaseName)
	if err != nil {
		return nil, fmt.Errorf("read release %s: %w", ReleaseName, err)
	}
	if err := c.claimCRDs(ctx, o, last.Config); err != nil {
		return nil, err
	}
	a := action.NewUpgrade(c.cfg)
	a.Namespace = c.namespace
	a.Wait, a.Atomic, a.Timeout, a.MaxHistory = o.Wait, o.Atomic, o.Timeout, o.MaxHistory
	a.DryRunOption, a.TakeOwnership, a.CleanupOnFail = string(o.DryRun), o.TakeOwnership, o.CleanupOnFail
	a.ResetValues = o.Reuse == ReuseNone
	a.ReuseValues = o.Reuse == ReuseAll
	a.ResetThenReuseValues = o.Reuse == ReuseOverReset
	r, err := a.RunWithContext(ctx, ReleaseName, o.Chart.chart, o.Values)
	if err != nil {
		return nil, fmt.Errorf("upgrade chart: %w", c.explain(err, o))
	}
	return o.result(r), nil
}

// Uninstall deletes the release and waits until its objects are gone. What the
// chart says to keep is named in the result.
func (c *Client) Uninstall(ctx context.Context, timeout time.Duration, wait bool) (*Release, error) {
	a := action.NewUninstall(c.cfg)
	a.Wait, a.Timeout, a.DeletionPropagation = wait, timeout, "foreground"
	type result struct {
		response *release.UninstallReleaseResponse
		err      error
	}
	// Helm's Uninstall takes no context.
	done := make(chan result, 1)
	go func() {
		response, err := a.Run(ReleaseName)
		done <- result{response, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("interrupted; to go on, run %s", c.Command("uninstall"))
	case r := <-done:
		if r.err != nil && timedOut(r.err) {
			return nil, fmt.Errorf("%s %w after %s", ReleaseName, ErrNotGone, timeout)
		}
		if r.err != nil {
			return nil, fmt.Errorf("uninstall chart: %w", r.err)
		}
		out := fromHelm(r.response.Release)
		out.Kept = kept(r.response.Info)
		return out, nil
	}
}
