package capture

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Protocol is the IP protocol number of a captured port.
type Protocol uint8

// The protocols that can be captured.
const (
	TCP Protocol = unix.IPPROTO_TCP
	UDP Protocol = unix.IPPROTO_UDP
)

// String returns the protocol's name as Kubernetes writes it.
func (p Protocol) String() string {
	if p == UDP {
		return "UDP"
	}
	return "TCP"
}

// Port is one captured port of the pod.
type Port struct {
	Number   uint16
	Protocol Protocol
	// Agent is the port on which the agent listens for redirected connections, at all
	// addresses.
	Agent uint16
	// KeepEstablished means that TCP connections that were open before the redirect
	// are not reset.
	KeepEstablished bool
	// Nodes are the addresses that the kubelet calls from. A probe of its that was under
	// way is not reset. Their open connections are reset from ResetNodes on.
	Nodes      []netip.Addr
	ResetNodes time.Time
}

// String returns the port as "80/TCP".
func (p Port) String() string { return fmt.Sprintf("%d/%s", p.Number, p.Protocol) }
