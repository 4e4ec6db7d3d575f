// Package version is `kubectl intercept version`: the versions of the plugin
// and of the traffic-manager.
package version

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Versions is what -o json prints.
type Versions struct {
	Client  Client   `json:"clientVersion"`
	Manager *Manager `json:"managerVersion,omitempty"`
}

// Client is the plugin.
type Client struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// Manager is the traffic-manager.
type Manager struct {
	Version   string `json:"version"`
	Namespace string `json:"namespace"`
}

// Options are the flags.
type Options struct {
	genericiooptions.IOStreams

	ClientOnly bool
	Output     string

	factory *kube.Factory
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := &Options{IOStreams: streams, factory: f}
	cmd := &cobra.Command{
		Use:                   "version",
		DisableFlagsInUseLine: true,
		Short:                 "Show the versions of plugin and traffic-manager",
		Example: templates.Examples(`
			# Versions of the plugin and of the traffic-manager
			kubectl intercept version

			# Of the plugin only, without asking the cluster
			kubectl intercept version --client`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.ClientOnly, "client", false, "Only the version of the plugin; asks no cluster")
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// Run prints the versions. What is known is printed even if the
// traffic-manager cannot be asked, which is then the error.
func (o *Options) Run(ctx context.Context) error {
	v := Versions{Client: Client{Version: version.Version, Commit: version.Commit(),
		GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}}
	manager, merr := "", error(nil)
	if !o.ClientOnly {
		manager, merr = o.manager(ctx)
		if merr == nil {
			v.Manager = &Manager{Version: manager, Namespace: o.factory.ManagerNamespace}
		}
	}
	var absent *target.NotInstalledError
	if errors.As(merr, &absent) {
		merr = nil // a finding, no failure
	}
	if o.Output != "" {
		return errors.Join(render.Structured(o.Out, o.Output, v), merr)
	}
	fmt.Fprintf(o.Out, "Client Version: %s\n", v.Client.Version)
	switch {
	case o.ClientOnly:
	case absent != nil:
		fmt.Fprintf(o.Out, "Manager Version: not installed in namespace %q\n", absent.Namespace)
	case merr == nil:
		fmt.Fprintf(o.Out, "Manager Version: %s\n", manager)
	}
	return merr
}

func (o *Options) manager(ctx context.Context) (string, error) {
	c, err := o.factory.Client()
	if err != nil {
		return "", err
	}
	return target.Manager(ctx, c, o.factory.ManagerNamespace)
}
