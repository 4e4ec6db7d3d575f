package cmd

import (
	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
)

func newRestart() *cobra.Command {
	var name, node string
	c := &cobra.Command{
		Use:   "restart COMPONENT",
		Short: "Kill a component, as a crash would, and start it again",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return action.Restart(c.Context(), name, node, args[0])
		},
	}
	nameFlag(c, &name)
	nodeFlag(c, &node)
	return c
}
