package probe

import (
	"errors"
	"io"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/agent/tls"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// foreign are extensions of a ClientHello that Go's crypto/tls, and so the
// kubelet, does not send. Curl and other programs with OpenSSL or GnuTLS send the
// first, browsers others. They tell other callers of a NodePort from the kubelet.
var foreign = []uint16{
	22,    // encrypt_then_mac
	17,    // status_request_v2
	27,    // compress_certificate
	28,    // record_size_limit
	17513, // application_settings
	17613, // the same, newer
}

// matchTLS looks for a ClientHello of the kubelet. The kubelet calls an address, so
// it names no server unless the spec does. A probe offers HTTP/2 and HTTP/1.1 by
// ALPN, a lifecycle hook offers nothing.
func matchTLS(b []byte, declared []*rpc.Probe) Kind {
	const handshake = 22
	if len(b) > 0 && b[0] != handshake {
		return Other
	}
	hello, err := tls.ParseHello(b)
	switch {
	case errors.Is(err, io.EOF):
		return Unknown
	case hello == nil:
		return Other
	case hello.ServerName != "" && !slices.ContainsFunc(declared, func(p *rpc.Probe) bool { return p.Host == hello.ServerName }):
		return Other
	case len(hello.SupportedProtos) > 0 && !slices.Equal(hello.SupportedProtos, []string{"h2", "http/1.1"}) && !slices.Equal(hello.SupportedProtos, []string{"http/1.1"}):
		return Other
	case slices.ContainsFunc(hello.Extensions, func(e uint16) bool { return slices.Contains(foreign, e) || isGrease(e) }):
		return Other
	}
	return Probe
}

// isGrease says that an extension is a reserved one without a meaning (RFC 8701),
// as browsers send.
func isGrease(e uint16) bool { return e&0x0f0f == 0x0a0a && e>>8 == e&0xff }
