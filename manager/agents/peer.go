package agents

import (
	"context"
	"net"

	"google.golang.org/grpc/peer"
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
