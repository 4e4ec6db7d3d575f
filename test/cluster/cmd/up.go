package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/action"
)

func newUp() *cobra.Command {
	o := action.UpOptions{}
	c := &cobra.Command{
		Use:   "up",
		Short: "Make a cluster, or repair it; ends when nodes and DNS are ready",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Images == "" {
				self, err := os.Executable()
				if err != nil {
					return err
				}
				o.Images = filepath.Join(filepath.Dir(self), "images")
			}
			start := time.Now()
			o.Say = func(format string, values ...any) {
				say("%5.1fs  %s", time.Since(start).Seconds(), fmt.Sprintf(format, values...))
			}
			return action.Up(c.Context(), o)
		},
	}
	nameFlag(c, &o.Name)
	c.Flags().IntVar(&o.Nodes, "nodes", 0, "number of nodes (default 1)")
	c.Flags().StringVar(&o.Images, "images", "", "folder of image archives to load (default: images, beside this program)")
	return c
}
