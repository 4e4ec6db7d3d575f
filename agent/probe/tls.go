package probe

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"time"

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
	hello, err := parseHello(b)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
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

// errParsed ends the handshake that reads a ClientHello.
var errParsed = errors.New("the ClientHello is read")

// parseHello reads the ClientHello at the beginning of b; the error is of the
// kind of io.EOF if it is longer than that.
func parseHello(b []byte) (hello *tls.ClientHelloInfo, err error) {
	from := &replay{r: bytes.NewReader(b)}
	err = tls.Server(from, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello = h
		return nil, errParsed
	}}).Handshake()
	if hello != nil {
		return hello, nil
	}
	if from.over {
		return nil, io.EOF
	}
	return nil, err
}

// replay is a connection on which bytes have come and nothing is sent.
type replay struct {
	r    *bytes.Reader
	over bool // more was wanted than there is
}

var _ net.Conn = (*replay)(nil)

func (r *replay) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.over = r.over || err != nil
	return n, err
}

func (r *replay) Write(p []byte) (int, error)      { return len(p), nil }
func (r *replay) Close() error                     { return nil }
func (r *replay) LocalAddr() net.Addr              { return nil }
func (r *replay) RemoteAddr() net.Addr             { return nil }
func (r *replay) SetDeadline(time.Time) error      { return nil }
func (r *replay) SetReadDeadline(time.Time) error  { return nil }
func (r *replay) SetWriteDeadline(time.Time) error { return nil }
