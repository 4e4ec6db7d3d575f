package carrier

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// upgradedConn is an HTTP connection without TLS after the 101, as a net.Conn.
type upgradedConn struct {
	stream   io.ReadWriteCloser
	net.Conn // for addresses and deadlines
}

// newUpgradedConn makes a net.Conn of the stream of bytes that follow the 101, and of
// the connection below, which has addresses and deadlines.
func newUpgradedConn(stream io.ReadWriteCloser, raw net.Conn) net.Conn {
	if t, ok := raw.(*tls.Conn); ok {
		return record.NewCarrier(t, stream)
	}
	return &upgradedConn{stream: stream, Conn: raw}
}

// Read implements net.Conn.
func (u *upgradedConn) Read(p []byte) (int, error) { return u.stream.Read(p) }

// Write implements net.Conn.
func (u *upgradedConn) Write(p []byte) (int, error) { return u.stream.Write(p) }

// Close unblocks Read and Write.
func (u *upgradedConn) Close() error { return u.stream.Close() }

// silentConn counts reads and flows, so that it can close when the peer is silent, or when
// nobody needs it.
type silentConn struct {
	net.Conn
	heard func() // may be nil
	reads atomic.Int64
	flows atomic.Pointer[func() int] // counts them; nil until there may be any
}

// CountFlows implements mux.Counted.
func (s *silentConn) CountFlows(count func() int) { s.flows.Store(&count) }

// idleLook is the time between two looks for flows.
const idleLook = 250 * time.Millisecond

// closeWhenIdle closes the connection when it is outdated and has had no flow at two looks. It
// runs until ctx ends.
func (s *silentConn) closeWhenIdle(ctx context.Context, outdated func() bool) {
	ticker := time.NewTicker(idleLook)
	defer ticker.Stop()
	for looks := 0; looks < 2; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		looks++
		if count := s.flows.Load(); count == nil || (*count)() > 0 || !outdated() {
			looks = 0
		}
	}
	s.Close()
}

// Read implements net.Conn.
func (s *silentConn) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.reads.Add(1)
	if s.heard != nil && n > 0 {
		s.heard()
	}
	return n, err
}

// closeWhenSilent closes the connection when no read has returned for limit, or up to
// twice that time. It runs until ctx ends.
func (s *silentConn) closeWhenSilent(ctx context.Context, limit time.Duration) {
	ticker := time.NewTicker(limit)
	defer ticker.Stop()
	last := s.reads.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := s.reads.Load()
		if now == last {
			s.Close()
			return
		}
		last = now
	}
}

// Keepalive of the socket to the API server: it breaks within about half a minute
// when the network is gone.
const (
	keepaliveIdle     = 15 * time.Second
	keepaliveInterval = 5 * time.Second
	keepaliveCount    = 3
	// userTimeout is how long sent bytes may stay unacknowledged.
	userTimeout = 30 * time.Second
)

// dialServer dials the API server.
func dialServer(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{
		Timeout: attemptTimeout,
		Control: limitSilence,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: keepaliveCount,
		},
	}
	return d.DialContext(ctx, network, addr)
}
