package control

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

const (
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
	// steady is how long a stream must last to reset the back-off.
	steady     = 10 * time.Second
	callTime   = 10 * time.Second
	smallBytes = 4 << 10
)

// Client is the agent's client of the manager.
type Client struct {
	settings *Settings
	identity *Identity
	version  string
	log      *slog.Logger

	// Patience limits how long Enroll and Watch try. The zero value sets no limit.
	Patience Patience
	// Level is the level of the log, which the manager may change for a while. Nil: it may
	// not.
	Level *slog.LevelVar
}

// NewClient returns a Client that has not connected yet.
func NewClient(s *Settings, i *Identity, version string, log *slog.Logger) *Client {
	return &Client{settings: s, identity: i, version: version, log: log}
}

// connect makes one connection. The connection does not reconnect by itself, so
// each one has the newest certificate and roots. Its buffers are small: the agent
// is nearly always idle, and its memory counts as memory of the user's pods.
func (c *Client) connect(ctx context.Context) (rpc.AgentsClient, func(), error) {
	raw, err := c.dialTLS(ctx)
	if err != nil {
		return nil, nil, err
	}
	given := make(chan net.Conn, 1)
	given <- raw
	conn, err := grpc.NewClient("passthrough:///manager",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case raw := <-given:
				return raw, nil
			default:
				return nil, fmt.Errorf("dial manager: connection is gone: %w", net.ErrClosed)
			}
		}),
		grpc.WithAuthority(c.settings.ServerName),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 20 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithReadBufferSize(smallBytes), grpc.WithWriteBufferSize(smallBytes),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0), grpc.WithNoProxy(),
	)
	if err != nil {
		raw.Close()
		return nil, nil, fmt.Errorf("dial manager: %w", err)
	}
	closeAll := func() { conn.Close(); raw.Close() }
	return rpc.NewAgentsClient(conn), closeAll, nil
}

// dialTLS makes the TLS connection itself, because gRPC would insist on its own
// ALPN protocol.
func (c *Client) dialTLS(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	d := tls.Dialer{Config: c.identity.TLS(handshake.ALPNAgent)}
	conn, err := d.DialContext(ctx, "tcp", c.settings.Manager)
	if err != nil {
		return nil, fmt.Errorf("dial manager: %w", err)
	}
	return conn, nil
}

// backOff returns the pause after the nth failure in a row. A part of it is random,
// so that the agents of a cluster do not all reconnect at once.
func backOff(n int) time.Duration {
	d := lastPause
	if n < 8 {
		d = min(firstPause<<n, lastPause)
	}
	return d/2 + rand.N(d/2+1)
}

// Pause waits for the duration d. It returns false if ctx ends first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
