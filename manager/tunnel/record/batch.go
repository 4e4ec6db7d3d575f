package record

import (
	"net"
	"sync/atomic"
	"time"
)

// Batcher lets a busy TCP connection wake its reader once for several segments
// instead of once for each, since waking up is much of the cost of a byte. It sets
// SO_RCVLOWAT while reads follow each other quickly, and resets it when no read
// came for batchWait, which bounds the delay that it adds to a last byte. One
// goroutine may read.
type Batcher struct {
	conn *net.TCPConn
	// Reads of at least batchRead bytes in a row, their bytes, and since when.
	streak, bytes int
	since         time.Time

	busy  atomic.Bool
	reads atomic.Uint64 // while busy
	seen  uint64        // reads at the last check
	timer *time.Timer
}

const (
	batchRead   = 8 << 10
	batchStreak = 16
	batchRate   = 64 // bytes per microsecond, or MB/s, of a busy connection
	batchWait   = time.Millisecond
	// batchBytes is how much must arrive before a busy reader is woken.
	batchBytes = 64 << 10
)

// NewBatcher watches the reads of c.
func NewBatcher(c *net.TCPConn) *Batcher { return &Batcher{conn: c} }

// Read says that n bytes were read.
func (b *Batcher) Read(n int) {
	if b.busy.Load() {
		b.reads.Add(1)
		return
	}
	if n < batchRead {
		b.streak = 0
		return
	}
	if b.streak == 0 {
		b.bytes, b.since = 0, time.Now()
	}
	b.bytes += n
	if b.streak++; b.streak < batchStreak {
		return
	}
	b.streak = 0
	if time.Since(b.since).Microseconds()*batchRate <= int64(b.bytes) {
		b.begin()
	}
}

// begin marks the connection busy.
func (b *Batcher) begin() {
	if !setLowWater(b.conn, batchBytes) {
		return
	}
	b.busy.Store(true)
	if b.timer == nil {
		b.timer = time.AfterFunc(batchWait, b.check)
	} else {
		b.timer.Reset(batchWait)
	}
}

// check ends the busy time if there were no reads since the last check. To set the
// option wakes the reader if anything has arrived.
func (b *Batcher) check() {
	if now := b.reads.Load(); now != b.seen {
		b.seen = now
		b.timer.Reset(batchWait)
		return
	}
	b.busy.Store(false)
	setLowWater(b.conn, 1)
}
