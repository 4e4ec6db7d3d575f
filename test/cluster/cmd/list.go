package cmd

import (
	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
)

func newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List clusters with nodes, state and API address",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return action.List(c.Context(), c.OutOrStdout())
		},
	}
}
