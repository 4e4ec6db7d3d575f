package action

import (
	"context"
	"fmt"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/cgroup"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

// List writes a line for each cluster.
func List(ctx context.Context, out io.Writer) error {
	clusters, err := plan.List(plan.StateRoot())
	if err != nil {
		return err
	}
	if len(clusters) == 0 {
		return nil
	}
	fmt.Fprintf(out, "%-20s %-6s %-8s %s\n", "NAME", "NODES", "STATE", "API")
	for _, c := range clusters {
		group, err := cgroup.Open(plan.CgroupRoot, c.Name)
		if err != nil {
			return err
		}
		state := "broken"
		if (&building{cluster: c, group: group}).healthy(ctx) {
			state = "up"
		}
		fmt.Fprintf(out, "%-20s %-6d %-8s %s\n", c.Name, c.Nodes, state, c.Server())
	}
	return nil
}

// Restart kills a component and starts it again.
func Restart(ctx context.Context, name, node, component string) error {
	c, group, err := Open(name)
	if err != nil {
		return err
	}
	n, err := c.FindNode(node)
	if err != nil {
		return err
	}
	held, err := lock(ctx, c.Dir(), nil)
	if err != nil {
		return err
	}
	defer held.Close()
	p, err := Component(c, group, n, component)
	if err != nil {
		return err
	}
	if err := join(group); err != nil {
		return err
	}
	if err := p.Kill(ctx); err != nil {
		return err
	}
	_, err = p.Start()
	return err
}

// NodeSpace finds the space of a node.
func NodeSpace(name, node string) (space.Space, error) {
	c, group, err := Open(name)
	if err != nil {
		return space.Space{}, err
	}
	n, err := c.FindNode(node)
	if err != nil {
		return space.Space{}, err
	}
	p, err := Component(c, group, n, "")
	return p.Space, err
}
