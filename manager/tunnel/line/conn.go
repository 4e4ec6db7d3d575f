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

// maxChunk bounds a chunk on the agent's leg, in bytes.
const maxChunk = 1 << 20

// Conn is the agent's leg of one flow, as a Stream over TLS. What is
// written travels in chunks, u32 length and payload; a chunk of length 0 ends
// the direction. When both directions have ended well the connection below
// serves the next flow, since a handshake costs more than all the rest of a
// short flow: see OnIdle.
type Conn struct {
	tls  *tls.Conn
	raw  *record.Conn
	life *life

	left            int // of the chunk that is being read
	sentEnd, gotEnd atomic.Bool
	over            atomic.Bool // closed or reset: the connection may be another flow's
	idle            func(tunnel.Stream)
}

var _ tunnel.Stream = (*Conn)(nil)

// DialRelay connects to a relay and shakes hands. Cfg is cloned and given the
// protocol name handshake.ALPNFlow.
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

// relayDialer notices soon when a relay's node is gone.
func relayDialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
}

// NewConn makes a Conn of a connection between agent and relay, on
// which TLS has shaken hands on top of a record.Conn.
func NewConn(t *tls.Conn) (*Conn, error) { return newConn(t, false) }

// newConn gives signs of life if asked to: those of a line pass through the
// API server.
func newConn(t *tls.Conn, signs bool) (*Conn, error) {
	raw, ok := t.NetConn().(*record.Conn)
	if !ok {
		return nil, fmt.Errorf("flow on a %T", t.NetConn())
	}
	raw.Batch()
	return &Conn{tls: t, raw: raw, life: newLife(t, raw, signs)}, nil
}

// OnIdle makes Close hand the connection, as a fresh Stream, to take once the
// flow has ended well in both directions. Take must not block.
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

// cut makes an error of a connection that ends while a flow does not.
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

// Refused says that the flow ended with a verdict: the connection may serve
// another one after Close.
func (c *Conn) Refused() {
	c.sentEnd.Store(true)
	c.gotEnd.Store(true)
}

// SetReadDeadline implements Stream.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tls.SetReadDeadline(t) }

// SetWriteDeadline implements Stream. A write that times out leaves the
// connection unusable.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// Reset drops the connection with a TCP reset. After Close it does nothing.
func (c *Conn) Reset() {
	if c.over.Swap(true) {
		return
	}
	if t, ok := c.raw.Conn.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.raw.Conn.Close()
}

// Close ends the flow: it closes the connection, or hands it on if the flow
// has ended well.
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
