package cmd

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/config"
)

func newLogs() *cobra.Command {
	var name, node string
	c := &cobra.Command{
		Use:   "logs COMPONENT",
		Short: "Print the log of a component",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cluster, _, err := action.Open(name)
			if err != nil {
				return err
			}
			n, err := cluster.FindNode(node)
			if err != nil {
				return err
			}
			if _, err := config.Args(cluster, n, args[0]); err != nil {
				return err
			}
			f, err := os.Open(cluster.Log(n.Name, args[0]))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(c.OutOrStdout(), f)
			return err
		},
	}
	nameFlag(c, &name)
	nodeFlag(c, &node)
	return c
}
