package line

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// lineTimeout bounds the handshake between agent and session.
const lineTimeout = 10 * time.Second

// NoLineError is a relay's answer to a request for a line.
type NoLineError struct{ Verdict frame.Verdict }

// Error says why there is none.
func (e *NoLineError) Error() string { return "no line: " + e.Verdict.String() }

// Dial asks the relay at addr for a line, and shakes hands with the session at its
// other end. The certificate in cfg proves to the relay which pod this is, and the
// session sees it, too. The error is a NoLineError if the relay has no line.
func Dial(ctx context.Context, addr string, cfg *tls.Config, q *handshake.LineRequest) (*Conn, error) {
	c, err := relayDialer().DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial relay: %w", err)
	}
	f, err := requestLine(ctx, record.NewConn(c), cfg, q)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("dial relay %s: %w", addr, err)
	}
	return f, nil
}

// requestLine speaks TLS with the relay until its answer, and with the session from
// then on. The record.Conn below reads no byte of the one for the other.
func requestLine(ctx context.Context, c *record.Conn, cfg *tls.Config, q *handshake.LineRequest) (*Conn, error) {
	outer := cfg.Clone()
	outer.NextProtos, outer.MinVersion = []string{handshake.ALPNLine}, tls.VersionTLS13
	relay := tls.Client(c, outer)
	if err := relay.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := handshake.WriteLineRequest(relay, q); err != nil {
		return nil, err
	}
	v, pin, err := handshake.ReadLineAnswer(relay)
	if err != nil {
		return nil, err
	}
	if v != frame.Accepted {
		return nil, &NoLineError{v}
	}
	f, err := Client(ctx, c, cfg.Certificates, pin)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	return f, err
}

// Client shakes hands with the session at the other end of a line. The session has
// been told the pin of the certificate own.
func Client(ctx context.Context, c *record.Conn, own []tls.Certificate, session handshake.Pin) (*Conn, error) {
	t := tls.Client(c, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{handshake.ALPNFlow}, DynamicRecordSizingDisabled: true,
		Certificates: own, InsecureSkipVerify: true, VerifyConnection: pinned(session),
	})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("shake hands with the session: %w", err)
	}
	return newConn(t, true)
}

// pinned accepts no peer but the one with that pin.
func pinned(p handshake.Pin) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || handshake.PinOf(s.PeerCertificates[0]) != p {
			return errors.New("the peer is not the one that the relay named")
		}
		return nil
	}
}
