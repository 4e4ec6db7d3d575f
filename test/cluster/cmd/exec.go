package cmd

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
)

func newExec() *cobra.Command {
	var name, node string
	c := &cobra.Command{
		Use:   "exec [--node NODE] -- COMMAND...",
		Short: "Run a command in a node's network",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := action.NodeSpace(name, node)
			if err != nil {
				return err
			}
			return s.Exec(args, os.Environ())
		},
	}
	nameFlag(c, &name)
	nodeFlag(c, &node)
	return c
}
