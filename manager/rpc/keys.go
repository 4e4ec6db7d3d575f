package rpc

// The folders at which the kubelet mounts Secrets for TLS into an agent's container: that
// for callers, and that for the application.
const (
	TerminatingFolder = "/tls/terminating"
	OriginatingFolder = "/tls/originating"
)
