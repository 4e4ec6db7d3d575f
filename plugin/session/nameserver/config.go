package nameserver

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// Exchanger asks the cluster's name server. An error means that there is no
// answer to wait for; it must come at once when the cluster is out of reach.
// The message is not changed and not kept.
type Exchanger interface {
	Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error)
}

// Config says what a Server knows.
type Config struct {
	// Names decides who answers for a name.
	Names names.Config
	// Cluster answers for the cluster's names.
	Cluster Exchanger
	// Upstream are the laptop's own resolvers, in the order in which to ask.
	Upstream []netip.AddrPort
	// External says under which address the laptop reaches one that the cluster
	// gives for a name of its own and that is not in Names.CIDRs. It returns as it is
	// an address that the laptop dials itself; nil does so always.
	External func(netip.Addr) netip.Addr
}
