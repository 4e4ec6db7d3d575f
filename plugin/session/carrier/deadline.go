package carrier

import (
	"net"
	"os"
	"sync"
	"time"
)

// timed gives deadlines to a connection that has none, as a forwarded port does. What arrives
// is read ahead, up to two buffers. One goroutine may read and one write.
type timed struct {
	net.Conn
	start, end      sync.Once
	closed          chan struct{}
	arrived         chan []byte // read ahead; closed when err is set
	free            chan []byte // buffers to read into; nil ones are not made yet
	err             error
	rest, buf       []byte // of buf, what is not read yet
	readBy, writeBy deadline
}

const (
	// ahead is the size of a buffer, in bytes, and buffers is how many there are.
	ahead   = 32 << 10
	buffers = 2
)

func newTimed(c net.Conn) *timed {
	t := &timed{Conn: c, closed: make(chan struct{}), arrived: make(chan []byte, buffers), free: make(chan []byte, buffers)}
	for range buffers {
		t.free <- nil
	}
	t.writeBy.late = func() { t.Close() }
	return t
}

// pump reads ahead until the connection breaks or is closed.
func (t *timed) pump() {
	for {
		var b []byte
		select {
		case b = <-t.free:
		case <-t.closed:
			return
		}
		if b == nil {
			b = make([]byte, ahead)
		}
		n, err := t.Conn.Read(b[:ahead])
		if n > 0 {
			t.arrived <- b[:n]
		}
		if err != nil {
			t.err = err
			close(t.arrived)
			return
		}
		if n == 0 {
			t.free <- b
		}
	}
}

// Read implements net.Conn.
func (t *timed) Read(p []byte) (int, error) {
	t.start.Do(func() { go t.pump() })
	late := t.readBy.passed()
	select {
	case <-t.closed:
		return 0, net.ErrClosed
	case <-late:
		return 0, os.ErrDeadlineExceeded
	default:
	}
	if len(t.rest) == 0 {
		if t.buf != nil {
			t.free <- t.buf
			t.buf = nil
		}
		select {
		case b, ok := <-t.arrived:
			if !ok {
				return 0, t.err
			}
			t.rest, t.buf = b, b
		case <-t.closed:
			return 0, net.ErrClosed
		case <-late:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// Write implements net.Conn. If its deadline passes, the connection is closed.
func (t *timed) Write(p []byte) (int, error) {
	if !t.writeBy.begin() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := t.Conn.Write(p)
	if t.writeBy.end() && err != nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// Close implements net.Conn. It ends what reads and writes.
func (t *timed) Close() error {
	t.end.Do(func() { close(t.closed) })
	return t.Conn.Close()
}

// SetDeadline implements net.Conn.
func (t *timed) SetDeadline(at time.Time) error {
	t.readBy.set(at)
	t.writeBy.set(at)
	return nil
}

// SetReadDeadline implements net.Conn.
func (t *timed) SetReadDeadline(at time.Time) error {
	t.readBy.set(at)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (t *timed) SetWriteDeadline(at time.Time) error {
	t.writeBy.set(at)
	return nil
}

// deadline is one that can be moved, also after it has passed. The zero value is none. It is
// safe for concurrent use.
type deadline struct {
	late func() // if not nil: is called when it passes between begin and end

	mu    sync.Mutex
	timer *time.Timer
	gone  chan struct{} // closed when it has passed; nil before anybody asks
	over  bool          // it has passed
	busy  bool          // between begin and end
}

// passed returns a channel that is closed when the deadline passes that is set now, or one that
// takes its place before.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone == nil {
		d.gone = make(chan struct{})
		if d.over {
			close(d.gone)
		}
	}
	return d.gone
}

// begin says that something begins that must end in time. It returns false if it is too late.
func (d *deadline) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = !d.over
	return d.busy
}

// end says whether the deadline has passed since begin.
func (d *deadline) end() (late bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
	return d.over
}

// set moves the deadline. The zero time is none.
func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.over {
		d.over, d.gone = false, nil
	}
	if at.IsZero() {
		return
	}
	left := time.Until(at)
	if left <= 0 {
		d.pass()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer { // it was not moved meanwhile
			d.pass()
		}
	})
	d.timer = timer
}

// pass ends what waits. The caller has the lock.
func (d *deadline) pass() {
	d.over = true
	if d.gone != nil {
		close(d.gone)
	}
	if d.busy && d.late != nil {
		go d.late()
	}
}
