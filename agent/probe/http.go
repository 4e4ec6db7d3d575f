package probe

import (
	"bytes"
	"net/textproto"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

const userAgent = "User-Agent"

// matchHTTP looks for an HTTP/1 request of the kubelet. The kubelet sends GET with
// a User-Agent of its own, unless the spec gives the probe another one; then the
// request must be the very one that the kubelet makes of the declared probe.
func matchHTTP(b []byte, declared []*rpc.Probe) Kind {
	const method = "GET "
	if n := min(len(b), len(method)); string(b[:n]) != method[:n] {
		return Other
	}
	var h http.Head
	switch h.ParseRequest(b) {
	case http.Partial:
		return Unknown
	case http.NoRequest:
		return Other
	}
	return fromKubelet(&h, declared)
}

// fromKubelet says whether a GET request with this head, which may not be complete, is
// the kubelet's.
func fromKubelet(h *http.Head, declared []*rpc.Probe) Kind {
	own := slices.ContainsFunc(declared, hasUserAgent)
	for _, f := range h.Fields {
		switch {
		case !http.EqualFold(f.Name, userAgent):
		case isKubelets(f.Value):
			return Probe
		case !own:
			return Other
		}
	}
	switch {
	case !h.Complete:
		return Unknown
	case own && slices.ContainsFunc(declared, func(p *rpc.Probe) bool { return isRequestOf(p, h) }):
		return Probe
	}
	return Other
}

// isKubelets says that the kubelet calls itself like this in probes and hooks.
func isKubelets(agent []byte) bool {
	return bytes.HasPrefix(agent, []byte("kube-probe/")) || bytes.HasPrefix(agent, []byte("kube-lifecycle/"))
}

// hasUserAgent says that the spec gives a probe a User-Agent which is not the
// kubelet's.
func hasUserAgent(p *rpc.Probe) bool { return len(values(p, userAgent)) > 0 }

// isRequestOf says whether a request is what the kubelet makes of a probe with a
// User-Agent of its own: the declared headers, Host and Accept, and "Connection:
// close" of a client that keeps no connection, which other clients hardly send.
// Where the application redirects the kubelet, its next request has a Referer.
func isRequestOf(p *rpc.Probe, h *http.Head) bool {
	if !hasUserAgent(p) || p.Target != "" && p.Target != string(h.Target) && len(h.Values("Referer")) == 0 {
		return false
	}
	for _, f := range h.Fields {
		switch name := textproto.CanonicalMIMEHeaderKey(string(f.Name)); name {
		case "Host", "Accept", "Connection", "Accept-Encoding", "Referer":
		default:
			if !slices.Contains(values(p, name), string(f.Value)) {
				return false
			}
		}
	}
	for _, declared := range p.Headers {
		value := strings.TrimSpace(declared.Value) // as it is sent
		if value != "" && !slices.Contains(h.Values(declared.Name), value) {
			return false
		}
	}
	return p.Hook || slices.Contains(h.Values("Connection"), "close")
}

// values are those of the declared headers of a name, which is canonical.
func values(p *rpc.Probe, name string) []string {
	var list []string
	for _, h := range p.Headers {
		if textproto.CanonicalMIMEHeaderKey(h.Name) == name {
			list = append(list, strings.TrimSpace(h.Value))
		}
	}
	return list
}
