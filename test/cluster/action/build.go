package action

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/cgroup"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/component"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/config"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/network"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/pki"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

// building is an `up` at work.
type building struct {
	UpOptions
	cluster plan.Cluster
	group   cgroup.Tree
	hub     space.Space
	nodes   []space.Space
	images  []string
}

// run does the steps. What must wait for something else says so by its place.
func (b *building) run(ctx context.Context) error {
	if err := join(b.group); err != nil {
		return err
	}
	if err := b.spaces(ctx); err != nil {
		return err
	}
	if err := b.files(); err != nil {
		return err
	}
	b.Say("starting the control plane at %s", b.cluster.Server())
	steps, sctx := errgroup.WithContext(ctx)
	steps.Go(func() error { return b.controlPlane(sctx) })
	for _, n := range b.cluster.AllNodes() {
		steps.Go(func() error { return b.node(sctx, n) })
	}
	if err := steps.Wait(); err != nil {
		return err
	}
	b.Say("waiting for %d node(s) and cluster DNS", b.cluster.Nodes)
	if err := b.ready(ctx); err != nil {
		return err
	}
	b.Say("cluster %s is up: %s", b.cluster.Name, b.cluster.Server())
	return nil
}

// join makes this process one of the cluster's, so that whatever it starts is
// found by `down` even if this process is killed in between.
func join(group cgroup.Tree) error {
	tools := group.Sub("tools")
	if err := tools.Create(); err != nil {
		return err
	}
	return tools.Add(0)
}

// spaces makes the hub and the nodes with their network. If one of them died,
// its half of every link is gone too, and all are made again.
func (b *building) spaces(ctx context.Context) error {
	c, complete := b.cluster, b.cluster.Path("spaces")
	hub, whole := space.Find(b.group, hubName)
	b.hub, b.nodes = hub, nil
	for _, n := range c.AllNodes() {
		s, ok := space.Find(b.group, n.Name)
		b.nodes = append(b.nodes, s)
		whole = whole && ok
	}
	if _, err := os.Stat(complete); whole && err == nil {
		b.Say("repairing cluster %s", c.Name)
		return nil
	}
	b.Say("building cluster %s with %d node(s)", c.Name, c.Nodes)
	if err := b.clear(ctx); err != nil {
		return err
	}
	var err error
	if b.hub, _, err = space.Create(ctx, b.group, hubName); err != nil {
		return err
	}
	if err := network.SetUpHub(c, b.hub); err != nil {
		return fmt.Errorf("set up the hub: %w", err)
	}
	b.nodes = nil
	for _, n := range c.AllNodes() {
		s, _, err := space.Create(ctx, b.group, n.Name)
		if err != nil {
			return err
		}
		if err := s.SetUpNode(c.Dir(), c.Path("nodes", n.Name)); err != nil {
			return fmt.Errorf("set up %s: %w", n.Name, err)
		}
		if err := network.JoinNode(c, b.hub, s, n); err != nil {
			return fmt.Errorf("set up %s: %w", n.Name, err)
		}
		b.nodes = append(b.nodes, s)
	}
	return write(complete, "")
}

// clear removes the remains of an earlier life, except the plan and the
// users' certificates: a rebuilt cluster has the old address and authority.
func (b *building) clear(ctx context.Context) error {
	if err := destroy(ctx, b.cluster, true, b.group); err != nil {
		return err
	}
	for _, dir := range []string{"spaces", "nodes", "etcd", "laptops", "logs"} {
		if err := os.RemoveAll(b.cluster.Path(dir)); err != nil {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	return join(b.group)
}

// files writes certificates and configuration.
func (b *building) files() error {
	c := b.cluster
	if err := pki.Ensure(c); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	texts := map[string]string{
		c.Path("resolv.conf"):         config.ResolvConf(c.Resolver().String()),
		c.Path("authentication.yaml"): config.Authentication(),
	}
	for i, n := range c.AllNodes() {
		cni := c.Path("nodes", n.Name, "cni")
		texts[c.Path("nodes", n.Name, "cni", "10-pods.conflist")] = config.CNI(n)
		texts[c.Path("nodes", n.Name, "containerd.toml")] = config.Containerd(cni)
		texts[c.Path("nodes", n.Name, "kubelet.yaml")] = config.Kubelet(c, n, b.nodes[i].Group.Path())
		texts[c.Path("nodes", n.Name, "kube-proxy.yaml")] = config.Proxy(c, n)
	}
	for path, text := range texts {
		if err := write(path, text); err != nil {
			return err
		}
	}
	return nil
}

func (b *building) component(n plan.Node, name string) component.Component {
	return component.Component{Name: name, Node: n, Cluster: b.cluster, Space: b.nodes[n.Number-1]}
}

// controlPlane ends when the API server is ready and everything that the
// nodes need from it is there.
func (b *building) controlPlane(ctx context.Context) error {
	first := b.cluster.Node(1)
	for _, name := range config.ControlPlane() {
		p := b.component(first, name)
		if _, err := p.Start(); err != nil {
			return err
		}
		if name != "kube-apiserver" {
			continue
		}
		if err := waitFor(ctx, p, 60*time.Second, func() bool { return apiReady(ctx, b.cluster) }); err != nil {
			return err
		}
		b.Say("API server is ready")
	}
	return b.addons(ctx)
}

// node starts containerd, fills it with images and starts the rest.
func (b *building) node(ctx context.Context, n plan.Node) error {
	space := b.nodes[n.Number-1]
	runtime := b.component(n, "containerd")
	started, err := runtime.Start()
	if err != nil {
		return err
	}
	if started {
		if err := waitFor(ctx, runtime, 30*time.Second, func() bool { return runtimeReady(ctx, space) }); err != nil {
			return err
		}
	}
	if err := LoadImages(ctx, space, b.images); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	b.Say("%s: %d images loaded", n.Name, len(b.images))
	api := b.component(b.cluster.Node(1), "kube-apiserver")
	if err := waitFor(ctx, api, 60*time.Second, func() bool { return apiReady(ctx, b.cluster) }); err != nil {
		return err
	}
	for _, name := range []string{"kubelet", "kube-proxy"} {
		if _, err := b.component(n, name).Start(); err != nil {
			return err
		}
	}
	return nil
}
