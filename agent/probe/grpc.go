package probe

import (
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// matchPreface looks for a client that speaks HTTP/2 without TLS.
func matchPreface(b []byte) Kind {
	switch http.Preface(b) {
	case http.Partial:
		return Unknown
	case http.Request:
		return Greet
	}
	return Other
}

// FirstRequest says whether the connection that began with these bytes, an HTTP/2
// preface first, is the kubelet's gRPC probe. It is Unknown until the client's
// first request has come.
func FirstRequest(b []byte) Kind {
	h, progress := http.FirstRequest(b)
	switch {
	case progress == http.Partial:
		return Unknown
	case progress == http.Request && string(h.Target) == "/grpc.health.v1.Health/Check" &&
		slices.ContainsFunc(h.Values(userAgent), func(v string) bool { return strings.HasPrefix(v, "kube-probe/") }):
		return Probe
	}
	return Other
}
