package netd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

func newUndo(finder *netd.Finder) *cobra.Command {
	return &cobra.Command{
		Use:                   "undo",
		DisableFlagsInUseLine: true,
		Short:                 "Undo what a killed intercept-netd has left",
		Long: templates.LongDesc(`
			Undo, as root, what an intercept-netd that was killed has left of interfaces and
			DNS on this machine.

			What a living session has stays, and is told of: kubectl intercept disconnect
			ends that, with --all whatever the session's context.`),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return undo(cmd.Context(), finder) },
	}
}

func undo(ctx context.Context, f *netd.Finder) error {
	if err := f.Undo(ctx); err != nil {
		return err
	}
	fmt.Fprintln(f.ErrOut, "what a killed intercept-netd has left is undone")
	all, err := session.All(ctx)
	if err != nil {
		return err
	}
	known := false
	for _, k := range all {
		if k.Status == nil || k.Status.Network == nil || k.Status.Network.Device == nil {
			continue
		}
		known = true
		fmt.Fprintf(f.ErrOut, "%s has interface %s: kubectl intercept disconnect --all ends that\n", k.Describe(), k.Status.Network.Device.Interface)
	}
	if f.Left() && !known {
		fmt.Fprintln(f.ErrOut, "this machine's DNS leads to the cluster of somebody else's session: whoever connected ends that with kubectl intercept disconnect --all")
	}
	return nil
}
