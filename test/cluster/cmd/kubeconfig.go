package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/pki"
)

func newKubeconfig() *cobra.Command {
	var name, user string
	var groups []string
	c := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig, or make one for --user",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, _, err := action.Open(name)
			if err != nil {
				return err
			}
			file := cluster.Kubeconfig("admin")
			if user != "" {
				if file, err = pki.User(cluster, user, groups); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), file)
			return err
		},
	}
	nameFlag(c, &name)
	c.Flags().StringVar(&user, "user", "", "make a certificate for this user")
	c.Flags().StringArrayVar(&groups, "group", nil, "a group of the user; may be repeated")
	return c
}
