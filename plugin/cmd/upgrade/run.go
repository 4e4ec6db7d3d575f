package upgrade

import (
	"context"
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/deploy"
)

// Options is what the flags come to.
type Options struct {
	*deploy.Options
	// OrInstall installs what is not there.
	OrInstall bool
}

// Run upgrades.
func (o *Options) Run(ctx context.Context) error {
	there, err := o.Before(ctx)
	switch {
	case err != nil:
		return err
	case there != nil:
		return o.Upgrade(ctx, there)
	case o.OrInstall:
		return o.Install(ctx)
	default:
		return fmt.Errorf("%s is %w in namespace %s; %s installs it",
			helm.ReleaseName, helm.ErrNotInstalled, o.Namespace, o.Releases.Command("install"))
	}
}
