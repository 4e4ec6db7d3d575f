// Package handshake is how carriers and lines begin: the TLS inside of a carrier, and the
// first frames of both. These name the program at each end, and the version of the protocol
// that it speaks.
package handshake

// Names by which a client selects a protocol on the manager's ports.
const (
	// ALPNAgent selects the agents' control protocol (package rpc).
	ALPNAgent = "kubectl-intercept-agent/1"
	// ALPNFlow selects a connection that carries one flow after the other.
	ALPNFlow = "kubectl-intercept-flow/1"
	// ALPNLine selects a line; see LineHello.
	ALPNLine = "kubectl-intercept-line/1"
	// ALPNCarrier is what session and relay speak inside of a carrier.
	ALPNCarrier = "kubectl-intercept-carrier/1"
	// ALPNOffer is what they speak on a direct connection while the session offers a line.
	// Agent and session follow, below that TLS.
	ALPNOffer = "kubectl-intercept-offer/1"
	// UpgradeProtocol is the HTTP Upgrade token of a carrier.
	UpgradeProtocol = "kubectl-intercept-tunnel-1"
	// UpgradePath is where the manager accepts carriers.
	UpgradePath = "/tunnel"
	// LineUpgradeProtocol and LineUpgradePath are those of a line.
	LineUpgradeProtocol = "kubectl-intercept-line-1"
	LineUpgradePath     = "/line"
)

// AuthorityKey is where the traffic-manager publishes its authority: the key in the
// ConfigMap "traffic-manager" whose value are the certificates in PEM.
const AuthorityKey = "ca.crt"

// ServerName is the DNS name in the certificates of the traffic-manager behind a Service.
func ServerName(service, namespace string) string { return service + "." + namespace + ".svc" }

// Direction says which end opens flows on a carrier or line.
type Direction uint8

// The directions, seen from the laptop.
const (
	// Inbound: the relay opens flows, the session is the gRPC server.
	Inbound Direction = 0
	// Outbound: the session opens flows, the relay is the gRPC server.
	Outbound Direction = 1
)

// String is "inbound" or "outbound".
func (d Direction) String() string {
	if d == Outbound {
		return "outbound"
	}
	return "inbound"
}
