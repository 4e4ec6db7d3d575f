// Package record sits below TLS and moves several TLS records with one system call.
package record

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
)

// Conn is a connection below TLS. A TLS record holds at most 16 KiB, and crypto/tls
// makes a system call for each record, which wakes the peer for each. A Conn gathers
// writes until Flush, and fetches several records with one read. It knows where
// records begin, so that a reader can ask whether another record has arrived. One
// goroutine may read and one write.
type Conn struct {
	net.Conn
	batching bool
	past     atomic.Bool // Unbatched is running

	mu  sync.Mutex // crypto/tls may answer a key update while it reads
	out *[]byte    // records not sent yet, in a buffer of the pool; nil when quiet

	in      []byte  // fetched, not yet read; a window into buf
	buf     *[]byte // of the pool
	left    int     // bytes of the current record that are not yet read
	header  int     // bytes of the current record's header that are not yet read
	partial [recordHeader]byte
	fetch   int      // how much to fetch next
	batch   *Batcher // nil when it is not a TCP connection
}

const (
	recordHeader = 5
	smallFetch   = 4 << 10
	largeFetch   = 128 << 10
	// maxOut bounds what gathers before it is sent without a Flush.
	maxOut = 160 << 10
	// recordMax is more than the size of a TLS record with its header and tag.
	recordMax = 17 << 10
)

// NewConn wraps a connection on which TLS will shake hands. A Conn on which another TLS has
// ended is as good: TLS begins with a record.
func NewConn(c net.Conn) *Conn {
	if r, ok := c.(*Conn); ok {
		return r
	}
	r := &Conn{Conn: c, header: recordHeader, fetch: smallFetch}
	if t, ok := c.(*net.TCPConn); ok {
		r.batch = NewBatcher(t)
	}
	return r
}

// Batch begins batching writes; it must be called after the handshake and
// before the first Write of what follows.
func (c *Conn) Batch() { c.batching = true }

// Unbatched runs write, whose writes go out at once. Nothing may wait for a
// Flush.
func (c *Conn) Unbatched(write func() error) error {
	c.past.Store(true)
	defer c.past.Store(false)
	return write()
}

// Write gathers p, or sends it when not batching.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.batching || c.past.Load() {
		return c.Conn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserve(len(p))
	*c.out = append(*c.out, p...)
	if len(*c.out) >= maxOut {
		return len(p), c.flush()
	}
	return len(p), nil
}

// reserve makes room for n more bytes. From a small buffer it goes to the largest at
// once: what does not fit a small one is a bulk transfer.
func (c *Conn) reserve(n int) {
	if c.out != nil && cap(*c.out)-len(*c.out) >= n {
		return
	}
	have := 0
	if c.out != nil {
		have = len(*c.out)
	}
	size := max(smallFetch, have+n)
	if have > 0 {
		size = max(size, maxOut+recordMax)
	}
	b := buffer.Pool().Get(size)
	*b = (*b)[:0]
	if c.out != nil {
		*b = append(*b, *c.out...)
		buffer.Pool().Put(c.out)
	}
	c.out = b
}

// Flush sends what gathered.
func (c *Conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flush()
}

func (c *Conn) flush() error {
	if c.out == nil || len(*c.out) == 0 {
		return nil
	}
	_, err := c.Conn.Write(*c.out)
	if len(*c.out) < smallFetch { // the connection is quiet
		buffer.Pool().Put(c.out)
		c.out = nil
	} else {
		*c.out = (*c.out)[:0]
	}
	return err
}

// Read never returns bytes of two records at once, so that the TLS layer
// above holds nothing of a record that Ready does not know of.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	limit := c.left
	if c.header > 0 {
		limit = c.header
	}
	n := copy(p[:min(len(p), limit)], c.in)
	if c.header > 0 {
		copy(c.partial[recordHeader-c.header:], c.in[:n])
		c.header -= n
		if c.header == 0 {
			c.left = int(c.partial[3])<<8 | int(c.partial[4])
		}
	} else {
		c.left -= n
	}
	if c.header == 0 && c.left == 0 {
		c.header = recordHeader
	}
	c.in = c.in[n:]
	return n, nil
}

// fill fetches more, into a buffer whose size follows the traffic. The last
// buffer of a connection is left to the garbage collector.
func (c *Conn) fill() error {
	if c.buf == nil || len(*c.buf) != c.fetch {
		if c.buf != nil {
			buffer.Pool().Put(c.buf)
		}
		c.buf = buffer.Pool().Get(c.fetch)
	}
	n, err := c.Conn.Read(*c.buf)
	if c.batch != nil {
		c.batch.Read(n)
	}
	if n == 0 && err != nil {
		return err
	}
	switch {
	case n == c.fetch:
		c.fetch = min(c.fetch*8, largeFetch)
	case n < c.fetch/16:
		c.fetch = smallFetch
	}
	c.in = (*c.buf)[:n]
	return nil
}

// Trim releases buffers that grew with the traffic, here and in the connection below
// if that has a Trim. No goroutine may read or write meanwhile.
func (c *Conn) Trim() {
	if len(c.in) == 0 && c.buf != nil {
		buffer.Pool().Put(c.buf)
		c.buf, c.in, c.fetch = nil, nil, smallFetch
	}
	if c.out != nil && len(*c.out) == 0 {
		buffer.Pool().Put(c.out)
		c.out = nil
	}
	if t, ok := c.Conn.(interface{ Trim() }); ok {
		t.Trim()
	}
}

// Ready says that a whole record has been fetched and not been read.
func (c *Conn) Ready() bool {
	if c.header != recordHeader || len(c.in) < recordHeader {
		return false
	}
	return len(c.in) >= recordHeader+(int(c.in[3])<<8|int(c.in[4]))
}
