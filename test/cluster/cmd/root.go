// Package cmd holds the command line of the cluster tool: one file per verb.
package cmd

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

const defaultName = "demo"

// New returns the root command.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:           "cluster",
		Short:         "A real Kubernetes on one Linux machine, for demo and tests",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newUp(), newDown(), newList(), newKubeconfig(), newLoad(),
		newExec(), newLaptop(), newRestart(), newLogs())
	return root
}

func nameFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "name", defaultName, "name of the cluster")
}

func nodeFlag(c *cobra.Command, node *string) {
	c.Flags().StringVar(node, "node", "", "name or number of the node (default the first)")
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
