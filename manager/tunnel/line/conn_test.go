package line

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// tlsPair returns the two ends of a TLS connection on the loopback.
func tlsPair(t testing.TB) (client, server *tls.Conn) {
	t.Helper()
	return tunneltest.TLS(t, handshake.ALPNFlow, func(c net.Conn) net.Conn { return record.NewConn(c) })
}

// flowPair returns the two ends of a connection between agent and relay.
func flowPair(t testing.TB) (*Conn, *Conn) {
	t.Helper()
	c, s := tlsPair(t)
	a, err := NewConn(c)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewConn(s)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}
