// Package completion is `kubectl intercept completion`: it lets shells complete what is
// typed, after `kubectl intercept` and after `kubectl-intercept`.
package completion

import (
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"
)

// NewCommand returns the command.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "completion",
		DisableFlagsInUseLine: true,
		Short:                 "Let your shell complete commands, names and ports",
		Long: templates.LongDesc(`
			Let your shell complete commands and flags, and what the cluster has: workloads,
			ports, Services, containers, intercepts and namespaces.

			kubectl's own completion asks plugins for their words. It needs a program for
			that, which "completion install" puts beside the plugin. For those who call
			kubectl-intercept itself there is a script for each shell.`),
		Example: templates.Examples(`
			# After kubectl intercept, in all shells that complete kubectl
			kubectl intercept completion install

			# After kubectl-intercept, in this bash
			source <(kubectl-intercept completion bash)`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newInstall(streams))
	for _, s := range []struct {
		shell, line string
		write       func(root *cobra.Command, w io.Writer) error
	}{
		{"bash", "source <(kubectl-intercept completion bash)", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
		{"zsh", "source <(kubectl-intercept completion zsh)", func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) }},
		{"fish", "kubectl-intercept completion fish | source", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
		{"powershell", "kubectl-intercept completion powershell | Out-String | Invoke-Expression", func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) }},
	} {
		cmd.AddCommand(&cobra.Command{
			Use:                   s.shell,
			DisableFlagsInUseLine: true,
			Short:                 "Print a script for " + s.shell + " that completes kubectl-intercept",
			Example:               templates.Examples("# In this shell\n" + s.line),
			Args:                  cobra.NoArgs,
			ValidArgsFunction:     cobra.NoFileCompletions,
			RunE:                  func(cmd *cobra.Command, _ []string) error { return s.write(cmd.Root(), streams.Out) },
		})
	}
	return cmd
}
