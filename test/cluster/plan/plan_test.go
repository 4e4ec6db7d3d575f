package plan

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
)

func TestAddressesAreDistinct(t *testing.T) {
	c := Cluster{Name: "demo", Slot: 7, Nodes: MaxNodes}
	seen := map[string]string{}
	put := func(what string, ip net.IP) {
		if other, twice := seen[ip.String()]; twice {
			t.Errorf("%s and %s are both %s", what, other, ip)
		}
		seen[ip.String()] = what
		if !c.Subnet().Contains(ip) {
			t.Errorf("%s is outside of the slot: %s", what, ip)
		}
	}
	put("hub", c.Hub())
	put("gateway", c.Gateway())
	put("machine", c.Machine())
	put("resolver", c.Resolver())
	for _, n := range c.AllNodes() {
		put(n.Name, n.Address)
		if !c.NodeNet().Contains(n.Address) {
			t.Errorf("%s is outside of the nodes' network: %s", n.Name, n.Address)
		}
	}
	for i := range MaxLaptops {
		put("laptop", c.Laptop(i))
		if c.NodeNet().Contains(c.Laptop(i)) {
			t.Errorf("laptop %d is in the nodes' network", i)
		}
	}
	if len(c.MachineLink()) > 15 || len((Cluster{Slot: Slots - 1}).MachineLink()) > 15 {
		t.Error("the link's name is too long for Linux")
	}
}

func TestFreeSlot(t *testing.T) {
	_, busy, _ := net.ParseCIDR("198.18.1.64/26")
	_, everything, _ := net.ParseCIDR("0.0.0.0/0")
	slot, err := FreeSlot([]Cluster{{Slot: 0}, {Slot: 3}}, []*net.IPNet{busy, everything})
	if err != nil || slot != 2 {
		t.Errorf("got slot %d, %v; want 2", slot, err)
	}
	_, all, _ := net.ParseCIDR("198.18.0.0/15")
	if _, err := FreeSlot(nil, []*net.IPNet{all}); err == nil || !strings.Contains(err.Error(), "198.18.0.0/16") {
		t.Errorf("with the whole range in use: %v", err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	root := t.TempDir()
	if _, err := Load(root, "demo"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a cluster: %v", err)
	}
	c := Cluster{Name: "demo", Slot: 4, Nodes: 2, Root: root}
	if err := os.MkdirAll(c.Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	clusters, err := List(root)
	if err != nil || len(clusters) != 1 || clusters[0] != c {
		t.Errorf("got %v, %v", clusters, err)
	}
}

func TestFindNode(t *testing.T) {
	c := Cluster{Name: "demo", Nodes: 2}
	for name, want := range map[string]int{"": 1, "1": 1, "node-2": 2} {
		if n, err := c.FindNode(name); err != nil || n.Number != want {
			t.Errorf("node %q is %d, %v", name, n.Number, err)
		}
	}
	if _, err := c.FindNode("node-3"); err == nil {
		t.Error("found a third node")
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"demo", "a", "a-1"} {
		if err := CheckName("cluster", name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-a", "A", "a/b", "..", strings.Repeat("a", 33)} {
		if CheckName("cluster", name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
