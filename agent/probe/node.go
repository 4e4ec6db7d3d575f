package probe

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Nodes are the addresses that the kubelet calls the pod from: those that the API tells of the
// pod's node, and the pod's routers.
func Nodes(told []string) []netip.Addr {
	nodes := gateways()
	for _, text := range told {
		if a, err := netip.ParseAddr(text); err == nil {
			nodes = append(nodes, a.Unmap())
		}
	}
	slices.SortFunc(nodes, netip.Addr.Compare)
	return slices.Compact(nodes)
}

// gateways are the pod's default routers. With most networks that is the node,
// by the address from which it calls its pods.
func gateways() []netip.Addr {
	four, _ := os.ReadFile("/proc/net/route") // without one there is no gateway
	six, _ := os.ReadFile("/proc/net/ipv6_route")
	return append(gateways4(string(four)), gateways6(string(six))...)
}

// gateways4 reads "Iface Destination Gateway …", addresses as the host's own
// words in hex.
func gateways4(table string) []netip.Addr {
	var list []netip.Addr
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != "00000000" {
			continue
		}
		word, err := strconv.ParseUint(f[2], 16, 32)
		if err != nil {
			continue
		}
		b := binary.NativeEndian.AppendUint32(nil, uint32(word))
		list = append(list, known(netip.AddrFrom4([4]byte(b)))...)
	}
	return list
}

// gateways6 reads "destination length source length gateway …", all in hex.
func gateways6(table string) []netip.Addr {
	var list []netip.Addr
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 5 || f[1] != "00" {
			continue
		}
		if b, err := hex.DecodeString(f[4]); err == nil && len(b) == 16 {
			list = append(list, known(netip.AddrFrom16([16]byte(b)))...)
		}
	}
	return list
}

func known(a netip.Addr) []netip.Addr {
	if a.IsUnspecified() { // a route without a gateway
		return nil
	}
	return []netip.Addr{a}
}
