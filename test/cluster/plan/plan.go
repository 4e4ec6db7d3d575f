// Package plan says where everything of a cluster is: its addresses, its
// names and its files. It decides and computes; it changes nothing except the
// small file that remembers the decision.
//
// A cluster owns one slot, which is one /24 of the range that RFC 2544 sets
// aside for benchmarks:
//
//	198.18.S.1          hub, on the bridge of the nodes
//	198.18.S.2 …        nodes, the first also runs the control plane
//	198.18.S.64 …       laptops
//	198.18.S.250        the machine's own network namespace
//	198.18.S.253        hub, as the laptops and the machine see it
//	198.18.S.254        the resolver of a new laptop; nothing answers there
//
// Pods and services have the same addresses in every cluster, because every
// cluster has network namespaces of its own.
package plan

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
)

// Fixed properties of every cluster.
const (
	ServiceCIDR  = "10.96.0.0/16"
	KubernetesIP = "10.96.0.1"
	DNSIP        = "10.96.0.10"
	PodCIDR      = "10.244.0.0/16"
	Domain       = "cluster.local"
	APIPort      = 6443
	// OpenPort is the only node port that laptops may reach. Nobody has it by default.
	OpenPort      = 30443
	MaxNodes      = 60
	MaxLaptops    = 128
	Slots         = 256
	CgroupRoot    = "kubectl-intercept-cluster"
	defaultState  = "/var/lib/kubectl-intercept-cluster"
	firstNode     = 2
	firstLaptop   = 64
	machineHost   = 250
	gatewayHost   = 253
	resolverHost  = 254
	clusterConfig = "cluster.json"
)

// Cluster is the decision that `up` made. Its JSON form is its memory.
type Cluster struct {
	Name  string `json:"name"`
	Slot  int    `json:"slot"`
	Nodes int    `json:"nodes"`

	// Root is the folder that holds the state of all clusters.
	Root string `json:"-"`
}

// StateRoot is the folder that holds the state of all clusters.
func StateRoot() string {
	if dir := os.Getenv("CLUSTER_STATE"); dir != "" {
		return dir
	}
	return defaultState
}

// CheckName refuses what cannot be the name of a cluster or a laptop.
func CheckName(kind, name string) error {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`).MatchString(name) {
		return fmt.Errorf("%s name %q: use up to 32 lower-case letters, digits and '-'", kind, name)
	}
	return nil
}

// Load reads the decision of an earlier `up`. The error wraps os.ErrNotExist
// when there is no such cluster.
func Load(root, name string) (Cluster, error) {
	c := Cluster{Name: name, Root: root}
	data, err := os.ReadFile(c.Path(clusterConfig))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read %s: %w", c.Path(clusterConfig), err)
	}
	return c, nil
}

// Save writes the decision, whole or not at all.
func (c Cluster) Save() error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	temporary := c.Path(clusterConfig + ".new")
	if err := os.WriteFile(temporary, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, c.Path(clusterConfig))
}

// Path is a path below the cluster's state folder.
func (c Cluster) Path(elem ...string) string {
	return filepath.Join(append([]string{c.Root, c.Name}, elem...)...)
}

// Dir is the cluster's state folder.
func (c Cluster) Dir() string { return c.Path() }

// Kubeconfig is the file of a component or of the administrator ("admin").
func (c Cluster) Kubeconfig(who string) string { return c.Path("kubeconfig", who+".yaml") }

// Log is the file that a component writes to.
func (c Cluster) Log(space, component string) string {
	return c.Path("logs", space, component+".log")
}

// Server is the URL of the API server, the same for everybody.
func (c Cluster) Server() string { return fmt.Sprintf("https://%s:%d", c.API(), APIPort) }

// API is the address of the API server.
func (c Cluster) API() net.IP { return c.address(firstNode) }

// Hub is the hub's address on the nodes' bridge.
func (c Cluster) Hub() net.IP { return c.address(1) }

// Gateway is the hub's address towards laptops and the machine.
func (c Cluster) Gateway() net.IP { return c.address(gatewayHost) }

// Machine is the address of the machine's own network namespace.
func (c Cluster) Machine() net.IP { return c.address(machineHost) }

// Resolver is where a new laptop's resolv.conf points. Nothing is there.
func (c Cluster) Resolver() net.IP { return c.address(resolverHost) }

// Laptop is the address of the laptop with this index, from 0.
func (c Cluster) Laptop(index int) net.IP { return c.address(firstLaptop + index) }

// MachineLink is the cluster's only network link in the machine's namespace.
func (c Cluster) MachineLink() string { return fmt.Sprintf("kic%d", c.Slot) }

// Subnet is the cluster's slot; NodeNet the part of it that the nodes share.
func (c Cluster) Subnet() *net.IPNet { return &net.IPNet{IP: c.address(0), Mask: net.CIDRMask(24, 32)} }
func (c Cluster) NodeNet() *net.IPNet {
	return &net.IPNet{IP: c.address(0), Mask: net.CIDRMask(26, 32)}
}

// Node is one machine of the cluster, numbered from 1.
type Node struct {
	Number  int
	Name    string
	Address net.IP
	Pods    string
}

// Node computes a node from its number.
func (c Cluster) Node(number int) Node {
	return Node{
		Number:  number,
		Name:    fmt.Sprintf("node-%d", number),
		Address: c.address(firstNode + number - 1),
		Pods:    fmt.Sprintf("10.244.%d.0/24", number),
	}
}

// AllNodes lists the nodes in order.
func (c Cluster) AllNodes() []Node {
	nodes := make([]Node, c.Nodes)
	for i := range nodes {
		nodes[i] = c.Node(i + 1)
	}
	return nodes
}

// FindNode takes a node's name or number; empty means the first.
func (c Cluster) FindNode(name string) (Node, error) {
	for _, n := range c.AllNodes() {
		if name == "" || name == n.Name || name == fmt.Sprint(n.Number) {
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("cluster %s has no node %q: it has node-1 to node-%d", c.Name, name, c.Nodes)
}

func (c Cluster) address(host int) net.IP {
	return net.IPv4(198, 18, byte(c.Slot), byte(host)).To4()
}
