package complete

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func (c *Completer) contexts(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.config(typed, func(raw *clientcmdapi.Config) []string { return slices.Sorted(maps.Keys(raw.Contexts)) })
}

func (c *Completer) clusters(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.config(typed, func(raw *clientcmdapi.Config) []string { return slices.Sorted(maps.Keys(raw.Clusters)) })
}

func (c *Completer) users(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.config(typed, func(raw *clientcmdapi.Config) []string { return slices.Sorted(maps.Keys(raw.AuthInfos)) })
}

// config completes with names of the kubeconfig.
func (c *Completer) config(typed string, names func(*clientcmdapi.Config) []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	raw, err := c.factory.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return having(typed, names(&raw)), cobra.ShellCompDirectiveNoFileComp
}
