package action

import (
	"context"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/cgroup"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
)

// Down removes a cluster with everything that it started or made. It also
// stops an `up` that is still running, and it is no error when there is
// nothing to remove.
func Down(ctx context.Context, name string) error {
	if err := plan.CheckName("cluster", name); err != nil {
		return err
	}
	group, err := cgroup.Open(plan.CgroupRoot, name)
	if err != nil {
		return err
	}
	root := plan.StateRoot()
	dir := plan.Cluster{Name: name, Root: root}.Dir()
	var killed error
	held, err := lock(ctx, dir, func() { killed = group.Destroy(ctx) })
	if err != nil {
		return err
	}
	defer held.Close()
	if killed != nil {
		return killed
	}
	c, err := plan.Load(root, name)
	known := err == nil
	if err := destroy(ctx, c, known, group); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove state: %w", err)
	}
	_ = os.Remove(root) // only if no other cluster is left
	return nil
}

// destroy ends all processes, and with them the namespaces with all mounts
// and links. The kernel takes its time to remove a dead namespace's links, so
// the one that is visible on the machine is removed by name.
func destroy(ctx context.Context, c plan.Cluster, known bool, group cgroup.Tree) error {
	if err := group.Destroy(ctx); err != nil {
		return err
	}
	if !known {
		return nil
	}
	if link, err := netlink.LinkByName(c.MachineLink()); err == nil {
		_ = netlink.LinkDel(link)
	}
	return nil
}
