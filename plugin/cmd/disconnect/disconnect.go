// Package disconnect is `kubectl intercept disconnect`: it ends what connect
// began.
package disconnect

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Sessions finds the background process.
type Sessions interface {
	// Disconnect ends outbound access; false when there was none.
	Disconnect(ctx context.Context, f *kube.Factory) (bool, error)
	// Undo undoes what a killed intercept-netd has left of this machine's DNS, if
	// anything; that may need root.
	Undo(ctx context.Context, streams genericiooptions.IOStreams) error
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	return &cobra.Command{
		Use:                   "disconnect",
		DisableFlagsInUseLine: true,
		Short:                 "Close the way into the cluster again",
		Long: templates.LongDesc(`
			End the access to the cluster that kubectl intercept connect gave to programs
			on this machine. Intercepts stay.`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			was, err := sessions.Disconnect(cmd.Context(), f)
			if err != nil {
				return err
			}
			if err := sessions.Undo(cmd.Context(), streams); err != nil {
				return fmt.Errorf("give this machine its own DNS back: %w", err)
			}
			text := "disconnected"
			if !was {
				text = "not connected"
			}
			_, err = fmt.Fprintln(streams.ErrOut, text)
			return err
		},
	}
}
