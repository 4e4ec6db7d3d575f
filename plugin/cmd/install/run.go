package install

import (
	"context"
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm/deploy"
)

// Options is what the flags come to.
type Options struct{ *deploy.Options }

// Run installs.
func (o *Options) Run(ctx context.Context) error {
	if o.Apply.DryRun == helm.DryRunClient {
		return o.Render(ctx)
	}
	there, err := o.Before(ctx)
	if err != nil {
		return err
	}
	if there == nil {
		return o.Install(ctx)
	}
	if there.Failed() {
		return fmt.Errorf("%s is in namespace %s, where its last change failed; %s tries again, %s removes it",
			there.Describe(), there.Namespace, o.Releases.Command("upgrade"), o.Releases.Command("uninstall"))
	}
	return fmt.Errorf("%s is already installed in namespace %s; %s changes it",
		there.Describe(), there.Namespace, o.Releases.Command("upgrade"))
}
