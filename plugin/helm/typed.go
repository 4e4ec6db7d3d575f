package helm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// NoArgs is cobra.NoArgs that says what somebody may have meant: a value without
// --set, or the word of --dry-run behind a space.
func NoArgs(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		key, _, isValue := strings.Cut(arg, "=")
		switch {
		case isValue && key != "" && cmd.Flags().Lookup("set") != nil:
			return fmt.Errorf("unknown argument %q; did you mean --set %s?", arg, arg)
		case cmd.Flags().Changed("dry-run") && slices.Contains([]string{"client", "server", "none"}, arg):
			return fmt.Errorf("unknown argument %q; did you mean --dry-run=%s?", arg, arg)
		}
	}
	return cobra.NoArgs(cmd, args)
}

// AddKubeContext adds --kube-context, which is Helm's name for --context.
func AddKubeContext(flags *pflag.FlagSet, f *kube.Factory) {
	if f.Context != nil {
		flags.StringVar(f.Context, "kube-context", "", "Name of the kubeconfig context to use, as --context")
	}
}
