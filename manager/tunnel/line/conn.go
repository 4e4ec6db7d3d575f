package line

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// maxChunk bounds a chunk, in bytes.
const maxChunk = 1 << 20

// Conn is a Stream for one flow on a TLS connection. Bytes travel in chunks, u32
// length and payload; a chunk of length 0 ends the direction. When both directions
// have ended well, the TLS connection serves the next flow, since a handshake costs
// more than all the rest of a short flow: see OnIdle.
type Conn struct {
	tls  *tls.Conn
	raw  *record.Conn
	life *life

	left            int // of the chunk that is being read
	sentEnd, gotEnd atomic.Bool
	over            atomic.Bool // closed or reset: the TLS connection may serve another flow
	idle            func(tunnel.Stream)
}

var _ tunnel.Stream = (*Conn)(nil)

// DialRelay connects to a relay and shakes hands with a clone of cfg, for flows that
// the relay puts on carriers.
func DialRelay(ctx context.Context, addr string, cfg *tls.Config) (*Conn, error) {
	c, err := relayDialer().DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial relay: %w", err)
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{handshake.ALPNFlow}
	t := tls.Client(record.NewConn(c), cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("dial relay %s: %w", addr, err)
	}
	return NewConn(t)
}

// connectTimeout bounds the wait until a relay accepts a connection, which its kernel
// does even when the relay is busy. It is more than what one lost SYN costs, a second
// (RFC 6298).
const connectTimeout = 1500 * time.Millisecond

// relayDialer notices soon when a relay's node is gone.
func relayDialer() *net.Dialer {
	return &net.Dialer{Timeout: connectTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
}

// NewConn makes a Conn of a TLS connection between agent and relay, which sits on a
// record.Conn and has shaken hands.
func NewConn(t *tls.Conn) (*Conn, error) { return newConn(t, false) }

// newConn makes a Conn that gives signs of life if signs is set: a line passes
// through the API server.
func newConn(t *tls.Conn, signs bool) (*Conn, error) {
	raw, ok := t.NetConn().(*record.Conn)
	if !ok {
		return nil, fmt.Errorf("flow on a %T", t.NetConn())
	}
	raw.Batch()
	return &Conn{tls: t, raw: raw, life: newLife(t, raw, signs)}, nil
}

// OnIdle lets Close hand the TLS connection to take, as a fresh Stream, if the flow
// has ended well in both directions. Take must not block.
func (c *Conn) OnIdle(take func(tunnel.Stream)) { c.idle = take }

// Read fills p with as much as has arrived; it waits for the first byte only.
func (c *Conn) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && (n == 0 || c.raw.Ready()) {
		if c.gotEnd.Load() {
			break
		}
		if c.left == 0 {
			if err := c.chunk(); err != nil {
				return n, cut(err)
			}
			continue
		}
		m, err := c.tls.Read(p[n : n+min(len(p)-n, c.left)])
		n += m
		c.left -= m
		if err != nil {
			return n, cut(err)
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// chunk reads the head of the next chunk. A mark leaves nothing to read.
func (c *Conn) chunk() error {
	var head [4]byte
	if _, err := io.ReadFull(c.tls, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n >= firstMark {
		return nil
	}
	if n > maxChunk {
		return fmt.Errorf("chunk of %d bytes exceeds %d", n, maxChunk)
	}
	c.left = int(n)
	if n == 0 {
		c.gotEnd.Store(true)
	}
	return nil
}

// cut turns the end of the connection into an error: the flow has not ended.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write sends p as one chunk, in as few system calls as possible.
func (c *Conn) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n := min(len(p), maxChunk)
		if err := c.WritePieces(net.Buffers{p[:n]}); err != nil {
			return total, err
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// WritePieces sends several pieces, maxChunk bytes at most, as one chunk.
func (c *Conn) WritePieces(pieces net.Buffers) error {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	if n == 0 {
		return nil
	}
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(n))
	c.life.begin()
	defer c.life.end()
	if _, err := c.tls.Write(head[:]); err != nil {
		return err
	}
	for _, p := range pieces {
		if _, err := c.tls.Write(p); err != nil {
			return err
		}
	}
	return c.raw.Flush()
}

// CloseWrite ends this direction.
func (c *Conn) CloseWrite() error {
	if c.sentEnd.Swap(true) {
		return nil
	}
	c.life.begin()
	defer c.life.end()
	if _, err := c.tls.Write(make([]byte, 4)); err != nil {
		return err
	}
	return c.raw.Flush()
}

// Refused says that the flow has ended with a verdict other than Accepted. After
// Close, the TLS connection may serve another flow.
func (c *Conn) Refused() {
	c.sentEnd.Store(true)
	c.gotEnd.Store(true)
}

// SetReadDeadline implements Stream.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tls.SetReadDeadline(t) }

// SetWriteDeadline implements Stream. A write that times out leaves the
// connection unusable.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// Reset ends the connection with a TCP reset. After Close it does nothing.
func (c *Conn) Reset() {
	if c.over.Swap(true) {
		return
	}
	if t, ok := c.raw.Conn.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.raw.Conn.Close()
}

// Close ends the flow: it closes the connection, or hands it to OnIdle's function if
// the flow has ended well.
func (c *Conn) Close() error {
	if c.over.Swap(true) {
		return nil
	}
	if c.idle != nil && c.sentEnd.Load() && c.gotEnd.Load() {
		c.raw.Trim()
		c.idle(&Conn{tls: c.tls, raw: c.raw, life: c.life})
		return nil
	}
	return c.raw.Conn.Close()
}
