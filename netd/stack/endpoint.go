package stack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

var errClosed = net.ErrClosed

// endpoint is the waiting around an endpoint of gVisor, which never waits.
type endpoint struct {
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	closed atomic.Bool
	rd, wr side
	in     tcpip.SliceWriter // of the reader, under rd.mu
	out    bytes.Reader      // of the writer, under wr.mu
}

// side is one direction. Its entry stays registered, so that to wait costs
// no allocation.
type side struct {
	mu       sync.Mutex // one user at a time
	entry    waiter.Entry
	ready    chan struct{}
	deadline deadline
}

func (e *endpoint) init(ep tcpip.Endpoint, wq *waiter.Queue) {
	e.ep, e.wq = ep, wq
	e.rd.entry, e.rd.ready = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	e.wr.entry, e.wr.ready = waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	wq.EventRegister(&e.rd.entry)
	wq.EventRegister(&e.wr.entry)
}

// read reads once, waiting for there to be something.
func (e *endpoint) read(b []byte) (int, tcpip.Error, error) {
	e.rd.mu.Lock()
	defer e.rd.mu.Unlock()
	late := e.rd.deadline.passed()
	for {
		select {
		case <-late:
			return 0, nil, os.ErrDeadlineExceeded
		default:
		}
		if e.closed.Load() {
			return 0, nil, errClosed
		}
		e.in = tcpip.SliceWriter(b)
		res, err := e.ep.Read(&e.in, tcpip.ReadOptions{})
		e.in = nil
		if _, wait := err.(*tcpip.ErrWouldBlock); !wait {
			return res.Count, err, nil
		}
		select {
		case <-late:
		case <-e.rd.ready:
		}
	}
}

// write writes p once, waiting for there to be room. The caller holds wr.mu.
func (e *endpoint) write(p tcpip.Payloader) (int, tcpip.Error, error) {
	late := e.wr.deadline.passed()
	for {
		select {
		case <-late:
			return 0, nil, os.ErrDeadlineExceeded
		default:
		}
		if e.closed.Load() {
			return 0, nil, errClosed
		}
		n, err := e.ep.Write(p, tcpip.WriteOptions{})
		if _, wait := err.(*tcpip.ErrWouldBlock); !wait {
			return int(n), err, nil
		}
		select {
		case <-late:
		case <-e.wr.ready:
		}
	}
}

// wake lets those who wait look again.
func (e *endpoint) wake() { e.wq.Notify(waiter.EventHUp | waiter.EventErr) }

func (e *endpoint) SetReadDeadline(t time.Time) error {
	e.rd.deadline.set(t)
	return nil
}

func (e *endpoint) SetWriteDeadline(t time.Time) error {
	e.wr.deadline.set(t)
	return nil
}

func (e *endpoint) SetDeadline(t time.Time) error {
	e.rd.deadline.set(t)
	e.wr.deadline.set(t)
	return nil
}

// sysError is the error of the net package's kind for one of gVisor's.
func sysError(err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrClosedForReceive:
		return io.EOF
	case *tcpip.ErrClosedForSend:
		return syscall.EPIPE
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionAborted, *tcpip.ErrAborted:
		return syscall.ECONNABORTED
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrNotConnected:
		return syscall.ENOTCONN
	case *tcpip.ErrHostUnreachable:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrNetworkUnreachable:
		return syscall.ENETUNREACH
	case *tcpip.ErrMessageTooLong:
		return syscall.EMSGSIZE
	}
	return errors.New(err.String())
}

// deadline is a time after which a channel is closed.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
}

// passed returns the channel; one made before set may not hear of it, except
// when set shortens what it waits for.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
	}
	if d.timer != nil {
		if !d.timer.Stop() {
			d.done = make(chan struct{}) // closed, or about to be
		}
		d.timer = nil
	}
	select {
	case <-d.done:
		d.done = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	done := d.done
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(done) })
	} else {
		close(done)
	}
}
