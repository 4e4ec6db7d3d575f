package line

import (
	"crypto/tls"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

const (
	// signEvery is how long an end of a line writes nothing before it gives a sign
	// of life; it may take twice as long.
	signEvery = 7 * time.Second
	// sign is the length of a chunk that is a sign of life. Chunks with lengths from
	// firstMark on are marks and have no payload; a reader skips the marks that it
	// does not know.
	sign      = math.MaxUint32
	firstMark = sign - 0xff
)

// life lets the flows on a connection write one chunk at a time, and writes signs of
// life when they are silent. It lives as long as the connection.
type life struct {
	tls *tls.Conn
	raw *record.Conn

	mu    sync.Mutex // held while a chunk is written
	wrote bool       // since the last tick; under mu
	timer *time.Timer
}

func newLife(t *tls.Conn, raw *record.Conn, signs bool) *life {
	l := &life{tls: t, raw: raw}
	if signs {
		l.timer = time.AfterFunc(math.MaxInt64, l.tick) // l.timer is set before tick runs
		l.timer.Reset(signEvery)
	}
	return l
}

// begin and end surround the writing of a chunk.
func (l *life) begin() {
	l.mu.Lock()
	l.wrote = true
}

func (l *life) end() { l.mu.Unlock() }

// tick gives a sign of life, unless a chunk was written since the last tick or is
// being written.
func (l *life) tick() {
	if !l.mu.TryLock() {
		l.timer.Reset(signEvery)
		return
	}
	defer l.mu.Unlock()
	wrote := l.wrote
	l.wrote = false
	if wrote || l.give() == nil {
		l.timer.Reset(signEvery)
	}
}

// give writes a sign of life. It goes past the batch of the record.Conn, which is
// empty, so that a quiet connection needs no buffer.
func (l *life) give() error {
	return l.raw.Unbatched(func() error {
		_, err := l.tls.Write(binary.BigEndian.AppendUint32(nil, sign))
		return err
	})
}
