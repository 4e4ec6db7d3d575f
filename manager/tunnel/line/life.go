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
	// signEvery is after what silence an end of a line gives a sign of life, and
	// at most twice that.
	signEvery = 7 * time.Second
	// sign is the length of a chunk that is a sign of life. Lengths from firstMark
	// on are of chunks without payload that tell something; a reader skips those
	// that it does not know.
	sign      = math.MaxUint32
	firstMark = sign - 0xff
)

// life lets one chunk at a time be written to a connection, and signs of life
// when there is none to write. It is that of all flows on the connection, and
// ends with it.
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
		l.timer = time.AfterFunc(math.MaxInt64, l.tick) // there before it ticks
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

// tick gives a sign, unless something was written since the last time, or is
// being written: then the peer hears enough, or does not listen.
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

// give writes past the batch, which has nothing that waits, and which a quiet
// connection needs no buffer for.
func (l *life) give() error {
	return l.raw.Unbatched(func() error {
		_, err := l.tls.Write(binary.BigEndian.AppendUint32(nil, sign))
		return err
	})
}
