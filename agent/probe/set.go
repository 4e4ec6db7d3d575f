// Package probe tells the kubelet's calls to a port, which the pod's spec
// declares, from all other calls. The address that a call comes from decides
// nothing by itself, since callers of a NodePort have the node's address, too.
// The address, the declaration and the first bytes decide together. In doubt a
// call is a probe: a caller that reaches the application in place of the laptop
// is a nuisance, but a probe that reaches the laptop restarts the pod.
package probe

import (
	"net/netip"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
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
	// Greet: an HTTP/2 client, which may send no request before it has the
	// server's SETTINGS. See FirstRequest.
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
		return s // an HTTP probe is known by its request, whatever its address
	}
	s.nodes = Nodes(c.NodeAddresses)
	return s
}

// Caller is the other end of a connection.
type Caller struct {
	set  *Set
	node bool // comes from an address of the node's
}

// From returns the caller with an address.
func (s *Set) From(source netip.Addr) Caller {
	return Caller{s, s != nil && slices.Contains(s.nodes, source.Unmap())}
}

// Classify says what is known after the first bytes of a connection. If no more
// bytes will come, which over says, it is Probe or Other.
func (c Caller) Classify(first []byte, over bool) Kind {
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
		kinds[0] = matchHTTP(first, c.set.http)
	}
	if len(c.set.https) > 0 && c.node {
		kinds[1] = matchTLS(first, c.set.https)
	}
	if c.set.grpc && c.node {
		kinds[2] = matchPreface(first)
	}
	for _, kind := range []Kind{Probe, Greet, Unknown} {
		if slices.Contains(kinds, kind) && (kind == Probe || !over) {
			return kind
		}
	}
	return Other
}

// Begins says whether a connection that begins with these bytes is the kubelet's: Unknown,
// Probe or Other. In contrast to Classify it waits for the first request of HTTP/2, which the
// server's SETTINGS must bring about. Inside says that the bytes are what is in TLS that ends
// in the agent. If no more bytes will come, which over says, it is not Unknown.
func (c Caller) Begins(first []byte, over, inside bool) Kind {
	if c.set == nil {
		return Other
	}
	kind := Other
	switch declared := slices.Concat(c.set.http, c.set.https); {
	case http.Preface(first) != http.NoRequest:
		kind = c.firstRequest(first)
	case !inside:
		kind = c.Classify(first, over)
	case len(declared) > 0:
		kind = matchHTTP(first, declared)
	}
	if kind == Unknown && over {
		return Other
	}
	return kind
}

// firstRequest says whether the first request is the kubelet's on an HTTP/2 connection that
// begins with these bytes.
func (c Caller) firstRequest(b []byte) Kind {
	if http.Preface(b) != http.Request {
		return Unknown
	}
	h, progress := http.FirstRequest(b)
	switch progress {
	case http.Partial:
		return Unknown
	case http.NoRequest:
		return Other
	}
	var r match.Request
	if h.Describe(&r); c.Asks(&r) {
		return Probe
	}
	return Other
}

// Asks says that a request is the kubelet's. The agent may have told it apart from others
// on the same connection.
func (c Caller) Asks(r *match.Request) bool {
	switch {
	case c.set == nil:
		return false
	case c.set.grpc && c.node && isHealthCheck(r.Path, r.Fields):
		return true
	case string(r.Method) != "GET" || len(c.set.http)+len(c.set.https) == 0:
		return false
	}
	h := http.Head{Method: r.Method, Target: r.Path, Fields: r.Fields, Complete: true}
	if len(r.Query) > 0 {
		h.Target = slices.Concat(r.Path, []byte("?"), r.Query)
	}
	return fromKubelet(&h, c.set.http) == Probe || fromKubelet(&h, c.set.https) == Probe
}
