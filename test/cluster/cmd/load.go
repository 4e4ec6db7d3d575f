package cmd

import (
	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
)

func newLoad() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "load IMAGE.tar...",
		Short: "Load image archives into every node",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			return action.Load(c.Context(), name, files)
		},
	}
	nameFlag(c, &name)
	return c
}
