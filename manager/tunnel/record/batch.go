package record

import (
	"net"
	"sync/atomic"
	"time"
)

// Batcher makes a TCP connection that is busy wake its reader for several
// segments at once rather than for each: much of the cost of a byte is in
// waking up for it. It sets SO_RCVLOWAT while reads follow upon each other
// quickly, and takes it back when none came for batchWait, which bounds what
// it adds to the delay of a last byte. One goroutine may read.
type Batcher struct {
	conn *net.TCPConn
	// Reads of at least batchRead bytes in a row, their bytes, and since when.
	streak, bytes int
	since         time.Time

	busy  atomic.Bool
	reads atomic.Uint64 // while busy
	seen  uint64        // of reads, at the last look
	timer *time.Timer
}

const (
	batchRead   = 8 << 10
	batchStreak = 16
	batchRate   = 64 // bytes per microsecond, or MB/s, of a busy connection
	batchWait   = time.Millisecond
	// batchBytes is what a busy reader waits for.
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

// begin begins a busy time.
func (b *Batcher) begin() {
	if !setLowWater(b.conn, batchBytes) {
		return
	}
	b.busy.Store(true)
	if b.timer == nil {
		b.timer = time.AfterFunc(batchWait, b.look)
	} else {
		b.timer.Reset(batchWait)
	}
}

// look ends the busy time if there were no reads since the last look. Setting
// the option wakes the reader if anything has arrived.
func (b *Batcher) look() {
	if now := b.reads.Load(); now != b.seen {
		b.seen = now
		b.timer.Reset(batchWait)
		return
	}
	b.busy.Store(false)
	setLowWater(b.conn, 1)
}
