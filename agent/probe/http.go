package probe

import (
	"bytes"
	"net/textproto"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// sniffHTTP looks for an HTTP/1 request of the kubelet. It sends GET with a
// User-Agent of its own, unless the spec gives it another one; then the request
// must be the very one that the kubelet makes of the declared probe.
func sniffHTTP(b []byte, declared []*rpc.Probe) Kind {
	const method = "GET "
	if n := min(len(b), len(method)); string(b[:n]) != method[:n] {
		return Other
	}
	line, rest, complete := bytes.Cut(b, []byte("\r\n"))
	if !complete {
		return Unknown
	}
	target, ok := bytes.CutSuffix(line[len(method):], []byte(" HTTP/1.1"))
	if !ok {
		if target, ok = bytes.CutSuffix(line[len(method):], []byte(" HTTP/1.0")); !ok {
			return Other
		}
	}
	own := ownAgents(declared)
	var headers []*rpc.Header
	for {
		line, rest, complete = bytes.Cut(rest, []byte("\r\n"))
		if !complete {
			return Unknown
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		h := &rpc.Header{Name: textproto.CanonicalMIMEHeaderKey(string(name)), Value: string(bytes.TrimSpace(value))}
		if h.Name == userAgent && (strings.HasPrefix(h.Value, "kube-probe/") || strings.HasPrefix(h.Value, "kube-lifecycle/")) {
			return Probe
		}
		if h.Name == userAgent && !own {
			return Other
		}
		headers = append(headers, h)
	}
	if slices.ContainsFunc(declared, func(p *rpc.Probe) bool { return isRequestOf(p, string(target), headers) }) {
		return Probe
	}
	return Other
}

const userAgent = "User-Agent"

// ownAgents says that a probe has a User-Agent which is not the kubelet's.
func ownAgents(declared []*rpc.Probe) bool {
	return slices.ContainsFunc(declared, func(p *rpc.Probe) bool { return len(values(p.Headers, userAgent)) > 0 })
}

// isRequestOf says whether a request is what the kubelet makes of a probe with a
// User-Agent of its own: the declared headers, Host and Accept, and "Connection:
// close" of a client that keeps no connection, which others hardly send. Where
// the application redirects the kubelet, its next request has a Referer.
func isRequestOf(p *rpc.Probe, target string, headers []*rpc.Header) bool {
	if len(values(p.Headers, userAgent)) == 0 || p.Target != "" && p.Target != target && len(values(headers, "Referer")) == 0 {
		return false
	}
	for _, h := range headers {
		switch h.Name {
		case "Host", "Accept", "Connection", "Accept-Encoding", "Referer":
		default:
			if !slices.Contains(values(p.Headers, h.Name), h.Value) {
				return false
			}
		}
	}
	for _, h := range p.Headers {
		if h.Value != "" && !slices.Contains(values(headers, h.Name), h.Value) {
			return false
		}
	}
	return p.Hook || slices.Contains(values(headers, "Connection"), "close")
}

// values are those of the headers of a name.
func values(headers []*rpc.Header, name string) []string {
	var list []string
	for _, h := range headers {
		if textproto.CanonicalMIMEHeaderKey(h.Name) == textproto.CanonicalMIMEHeaderKey(name) {
			list = append(list, strings.TrimSpace(h.Value))
		}
	}
	return list
}
