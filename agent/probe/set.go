// Package probe tells the kubelet's calls to a port, which the pod's spec
// declares, from those of everybody else. The address that a call comes from
// decides nothing by itself: callers of a NodePort come from the node's, too.
// The source, what the spec declares and the first bytes decide together, and
// in doubt a call is a probe: a caller that reaches the application in place of
// the laptop is a nuisance, a probe that reaches the laptop restarts the pod.
package probe

import (
	"net/netip"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// Kind is what the first bytes of a connection tell.
type Kind int

const (
	// Unknown: more bytes may tell.
	Unknown Kind = iota
	// Probe: the kubelet calls.
	Probe
	// Other: it is not the kubelet.
	Other
	// Greet: an HTTP/2 client that says no more before the server does; see
	// Greeting.
	Greet
)

// Set is the declared probes of one port. A nil Set has none.
type Set struct {
	http  []*rpc.Probe
	https []*rpc.Probe
	tcp   bool
	grpc  bool
	nodes []netip.Addr
}

// Of returns the probes of a port, nil if there are none.
func Of(c *rpc.CapturePort) *Set {
	s := &Set{}
	for _, p := range c.Probes {
		switch p.Kind {
		case rpc.Probe_HTTP:
			s.http = append(s.http, p)
		case rpc.Probe_HTTPS:
			s.https = append(s.https, p)
		case rpc.Probe_TCP:
			s.tcp = true
		case rpc.Probe_GRPC:
			s.grpc = true
		}
	}
	if len(s.http) == 0 && len(s.https) == 0 && !s.tcp && !s.grpc {
		return nil
	}
	if len(s.https) == 0 && !s.tcp && !s.grpc {
		return s // HTTP tells by itself, wherever it comes from
	}
	s.nodes = gateways()
	for _, text := range c.NodeAddresses {
		if a, err := netip.ParseAddr(text); err == nil {
			s.nodes = append(s.nodes, a.Unmap())
		}
	}
	return s
}

// Caller is the other end of a connection.
type Caller struct {
	set  *Set
	node bool // comes from an address of the node's
}

// From is a caller with that address.
func (s *Set) From(source netip.Addr) Caller {
	return Caller{s, s != nil && slices.Contains(s.nodes, source.Unmap())}
}

// Judge says what is known after the first bytes of a connection; over says that
// no more will come. Then it is Probe or Other.
func (c Caller) Judge(first []byte, over bool) Kind {
	if c.set == nil {
		return Other
	}
	if len(first) == 0 && over {
		if c.set.tcp && c.node {
			return Probe
		}
		return Other
	}
	kinds := []Kind{Other, Other, Other}
	if len(c.set.http) > 0 {
		kinds[0] = sniffHTTP(first, c.set.http)
	}
	if len(c.set.https) > 0 && c.node {
		kinds[1] = sniffTLS(first, c.set.https)
	}
	if c.set.grpc && c.node {
		kinds[2] = sniffPreface(first)
	}
	for _, kind := range []Kind{Probe, Greet, Unknown} {
		if slices.Contains(kinds, kind) && (kind == Probe || !over) {
			return kind
		}
	}
	return Other
}
