package understudy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// maxFirst bounds what tells the protocol.
const maxFirst = 1 << 10

// begin reads how a connection begins. It takes it out of TLS if it is in TLS, and returns an
// error if it carries no HTTP.
func begin(c *net.TCPConn) (net.Conn, error) {
	c.SetReadDeadline(time.Now().Add(firstTime))
	defer c.SetReadDeadline(time.Time{})
	buf := make([]byte, 0, maxFirst)
	for len(buf) < cap(buf) {
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		const handshake = 22 // the type of the first record of TLS
		switch protocol := http.Sniff(buf); {
		case len(buf) > 0 && buf[0] == handshake:
			return secure(&read{c, buf})
		case protocol == http.HTTP1, protocol == http.HTTP2:
			return &read{c, buf}, nil
		case err != nil:
			return nil, fmt.Errorf("read first bytes: %w", err)
		case protocol == http.Other:
			return nil, errors.New("it is not HTTP")
		}
	}
	return nil, errors.New("it is not known what it is")
}

// read is a connection some of whose bytes were read already.
type read struct {
	*net.TCPConn
	first []byte
}

// Read implements net.Conn.
func (r *read) Read(p []byte) (int, error) {
	if len(r.first) == 0 {
		return r.TCPConn.Read(p)
	}
	n := copy(p, r.first)
	r.first = r.first[n:]
	return n, nil
}

// secure answers TLS with a certificate that proves nothing. The kubelet does not ask for
// proof, and whoever does gets none.
func secure(c net.Conn) (net.Conn, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "traffic-agent"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"}})
	if err := s.Handshake(); err != nil {
		s.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return s, nil
}
