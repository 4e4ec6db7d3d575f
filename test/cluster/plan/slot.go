package plan

import (
	"fmt"
	"net"
	"os"
)

// List reads every cluster that has state, in the order of the names.
func List(root string) ([]Cluster, error) {
	entries, err := os.ReadDir(root)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var clusters []Cluster
	for _, e := range entries {
		if c, err := Load(root, e.Name()); err == nil {
			clusters = append(clusters, c)
		}
	}
	return clusters, nil
}

// FreeSlot picks the first slot that no cluster has and that does not overlap
// a network the machine already knows.
func FreeSlot(clusters []Cluster, known []*net.IPNet) (int, error) {
	taken := map[int]bool{}
	for _, c := range clusters {
		taken[c.Slot] = true
	}
	for slot := range Slots {
		if !taken[slot] && !overlaps(Cluster{Slot: slot}.Subnet(), known) {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("no free /24 in 198.18.0.0/16: take clusters down, or remove the machine's routes into this range")
}

func overlaps(subnet *net.IPNet, known []*net.IPNet) bool {
	for _, n := range known {
		if ones, _ := n.Mask.Size(); ones == 0 {
			continue // a default route covers everything and hides nothing
		}
		if n.Contains(subnet.IP) || subnet.Contains(n.IP) {
			return true
		}
	}
	return false
}
