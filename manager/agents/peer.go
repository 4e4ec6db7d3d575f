package agents

import (
	"context"
	"net"
	"strconv"

	"google.golang.org/grpc/peer"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/server"
)

// peerHost is the caller's IP address.
func peerHost(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.String() // 4-in-6 addresses become plain
	}
	return host
}

// peerDoor is the port of ours that the caller came by; 0 when unknown.
func peerDoor(ctx context.Context) int {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return 0
	}
	if tcp, ok := p.LocalAddr.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}

// throughDoor makes an agent of before server.AgentsPort, which came by the port
// for everybody, reach the relays there too: in a mesh its pod has only that one
// spared. Every relay serves it.
func throughDoor(ports []*rpc.CapturePort, door int) {
	if door == 0 || door == server.AgentsPort {
		return
	}
	for _, p := range ports {
		if p.Route == nil {
			continue
		}
		relays := make([]string, 0, len(p.Route.Relays))
		for _, r := range p.Route.Relays {
			if host, _, err := net.SplitHostPort(r); err == nil {
				r = net.JoinHostPort(host, strconv.Itoa(door))
			}
			relays = append(relays, r)
		}
		p.Route.Relays = relays
	}
}
