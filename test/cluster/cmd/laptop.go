package cmd

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
)

func newLaptop() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "laptop [NAME] -- COMMAND...",
		Short: "Run a command on a laptop, which reaches the API server and nothing else",
		Long: `Run a command in a place that stands for a developer's machine. It reaches the
API server and nothing else, and has its own loopback, /run and /etc/resolv.conf.
The laptop is made at its first use and stays until down. KUBECONFIG is set to
the administrator's, unless it is set already.`,
		RunE: func(c *cobra.Command, args []string) error {
			laptop, dash := "laptop", c.ArgsLenAtDash()
			if dash > 1 || dash < 0 || len(args) == dash {
				return errors.New("usage: cluster laptop [NAME] -- COMMAND...")
			}
			if dash == 1 {
				laptop = args[0]
			}
			cluster, _, err := action.Open(name)
			if err != nil {
				return err
			}
			s, err := action.Laptop(c.Context(), cluster, laptop)
			if err != nil {
				return err
			}
			env := os.Environ()
			if os.Getenv("KUBECONFIG") == "" {
				env = append(env, "KUBECONFIG="+cluster.Kubeconfig("admin"))
			}
			return s.Exec(args[dash:], env)
		},
	}
	nameFlag(c, &name)
	return c
}
