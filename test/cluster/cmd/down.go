package cmd

import (
	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
)

func newDown() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "down",
		Short: "Remove a cluster with everything it started or made",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return action.Down(c.Context(), name)
		},
	}
	nameFlag(c, &name)
	return c
}
