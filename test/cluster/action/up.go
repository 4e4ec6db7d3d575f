package action

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/cgroup"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/network"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

// UpOptions are the choices of `up`.
type UpOptions struct {
	Name   string
	Nodes  int                                // 0: as many as it has, or one
	Images string                             // folder of image archives
	Say    func(format string, values ...any) // progress
}

// Up makes the cluster, or repairs it, or finds that all is well. It returns
// when every node is ready and cluster DNS answers on every node.
func Up(ctx context.Context, o UpOptions) error {
	if err := plan.CheckName("cluster", o.Name); err != nil {
		return err
	}
	if o.Nodes < 0 || o.Nodes > plan.MaxNodes {
		return fmt.Errorf("--nodes %d: use 1 to %d", o.Nodes, plan.MaxNodes)
	}
	if err := Preflight(); err != nil {
		return err
	}
	images, err := ImageFiles(o.Images)
	if err != nil {
		return err
	}
	group, err := cgroup.Open(plan.CgroupRoot, o.Name)
	if err != nil {
		return err
	}
	root := plan.StateRoot()
	held, err := lock(ctx, plan.Cluster{Name: o.Name, Root: root}.Dir(), func() {
		o.Say("waiting for another command that works on cluster %s", o.Name)
	})
	if err != nil {
		return err
	}
	defer held.Close()

	c, err := decide(ctx, root, o, group)
	if err != nil {
		return err
	}
	b := &building{UpOptions: o, cluster: c, group: group, images: images}
	if b.healthy(ctx) {
		o.Say("cluster %s is up: %s", c.Name, c.Server())
		return nil
	}
	if err := watchers(c.Nodes * watchersEach); err != nil {
		return err
	}
	return b.run(ctx)
}

// decide returns the plan of an earlier `up`, or makes one.
func decide(ctx context.Context, root string, o UpOptions, group cgroup.Tree) (plan.Cluster, error) {
	c, err := plan.Load(root, o.Name)
	if err == nil {
		if o.Nodes != 0 && c.Nodes != o.Nodes {
			return c, fmt.Errorf("cluster %s exists with %d node(s), not %d: take it down first, or choose another --name", c.Name, c.Nodes, o.Nodes)
		}
		return c, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	if _, ok := space.Find(group, hubName); ok {
		return c, fmt.Errorf("cluster %s runs already, with its state in another folder: choose another --name, or run `cluster down --name %s`", o.Name, o.Name)
	}
	held, err := lock(ctx, root, nil)
	if err != nil {
		return c, err
	}
	defer held.Close()
	others, err := plan.List(root)
	if err != nil {
		return c, err
	}
	known, err := network.Known()
	if err != nil {
		return c, err
	}
	slot, err := plan.FreeSlot(others, known)
	if err != nil {
		return c, err
	}
	c = plan.Cluster{Name: o.Name, Slot: slot, Nodes: max(1, o.Nodes), Root: root}
	return c, c.Save()
}
