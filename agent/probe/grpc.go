package probe

import (
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
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
	case progress == http.Request && isHealthCheck(h.Target, h.Fields):
		return Probe
	}
	return Other
}

// isHealthCheck says that the kubelet calls the gRPC health service.
func isHealthCheck(path []byte, fields []match.Field) bool {
	return string(path) == "/grpc.health.v1.Health/Check" &&
		slices.ContainsFunc(fields, func(f match.Field) bool { return http.EqualFold(f.Name, userAgent) && isKubelets(f.Value) })
}
