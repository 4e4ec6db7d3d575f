package action

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/config"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/network"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/space"
)

// Laptop returns the laptop with this name and makes it if there is none.
func Laptop(ctx context.Context, c plan.Cluster, name string) (space.Space, error) {
	if err := plan.CheckName("laptop", name); err != nil {
		return space.Space{}, err
	}
	_, group, err := Open(c.Name)
	if err != nil {
		return space.Space{}, err
	}
	held, err := lock(ctx, c.Dir(), nil)
	if err != nil {
		return space.Space{}, err
	}
	defer held.Close()
	if err := join(group); err != nil {
		return space.Space{}, err
	}
	hub, ok := space.Find(group, hubName)
	if !ok {
		return space.Space{}, fmt.Errorf("cluster %s is dead: run `cluster up --name %s`", c.Name, c.Name)
	}
	// A laptop is ready when its index is written, so that one that was killed
	// while it was being made is made again.
	ready := c.Path("laptops", name, "index")
	s, found := space.Find(group, "laptop-"+name)
	if data, err := os.ReadFile(ready); found && err == nil && len(data) > 0 {
		return s, nil
	}
	if err := group.Sub("laptop-" + name).Destroy(ctx); err != nil {
		return s, err
	}
	s, _, err = space.Create(ctx, group, "laptop-"+name)
	if err != nil {
		return s, err
	}
	index, err := freeIndex(c, name)
	if err != nil {
		return s, err
	}
	resolvConf := c.Path("laptops", name, "resolv.conf")
	if err := write(resolvConf, config.ResolvConf(c.Resolver().String())); err != nil {
		return s, err
	}
	if err := s.SetUpLaptop(resolvConf); err != nil {
		return s, err
	}
	if err := network.JoinLaptop(c, hub, s, index); err != nil {
		return s, err
	}
	return s, write(ready, fmt.Sprintln(index))
}

func freeIndex(c plan.Cluster, name string) (int, error) {
	taken := map[int]bool{}
	entries, _ := os.ReadDir(c.Path("laptops"))
	for _, e := range entries {
		data, _ := os.ReadFile(c.Path("laptops", e.Name(), "index"))
		if index, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && e.Name() != name {
			taken[index] = true
		}
	}
	for index := range plan.MaxLaptops {
		if !taken[index] {
			return index, nil
		}
	}
	return 0, fmt.Errorf("cluster %s has %d laptops already", c.Name, plan.MaxLaptops)
}
