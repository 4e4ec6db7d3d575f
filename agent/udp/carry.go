package udp

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

// toLaptop moves datagrams both ways until the flow ends. First is the one that
// began it; sent says that it traveled with the Open frame. An error says that no
// answer has ever come from there, and how the stream broke.
func (l *Listener) toLaptop(f *flow, laptop tunnel.Stream, first []byte, sent bool) error {
	stop := context.AfterFunc(f.ctx, laptop.Reset)
	defer stop()
	defer laptop.Close()
	began, ended := time.Now(), make(chan error, 1)
	l.wg.Go(func() { ended <- l.fromLaptop(f, laptop) })
	var wrote error // a reset is told once, to the writer or to the reader
	if sent {
		f.moved(len(first), 0)
	} else {
		wrote = f.write(laptop, first)
	}
	for {
		select {
		case p := <-f.in:
			l.queued.Add(-int64(len(p)))
			wrote = cmp.Or(wrote, f.write(laptop, p))
		case err := <-ended:
			if err == nil || time.Since(began) > refusal {
				return nil // it had the datagrams
			}
			return errors.Join(err, wrote)
		case <-f.ctx.Done():
			return nil
		}
	}
}

// fromLaptop passes on what the laptop answers. The error is the stream's if that
// broke before there was an answer.
func (l *Listener) fromLaptop(f *flow, laptop tunnel.Stream) error {
	buf := make([]byte, 2<<10)
	for answered := false; ; answered = true {
		var err error
		if buf, err = readDatagram(laptop, buf); err != nil {
			if answered || errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		f.moved(0, len(buf))
		l.send(f.key, buf)
	}
}

// write sends a datagram. A laptop that does not take it is reset, and fromLaptop
// hears of that.
func (f *flow) write(laptop tunnel.Stream, p []byte) error {
	if err := datagram.Write(laptop, p); err != nil {
		laptop.Reset()
		return fmt.Errorf("write datagram: %w", err)
	}
	f.moved(len(p), 0)
	return nil
}

// notTaken is why the laptop did not get the datagrams, by the error of toLaptop.
// The program's port is closed if the laptop has reset the stream. A relay or a
// connection that broke says nothing about the port.
func notTaken(broke error) error {
	if errors.Is(broke, syscall.ECONNRESET) {
		return fmt.Errorf("%w: %w", relay.ErrRefused, broke)
	}
	return broke
}

// toApplication moves datagrams between the source and the application. If the
// application's port is closed, the source learns nothing of it, as behind any NAT.
func (l *Listener) toApplication(f *flow, first []byte) {
	c, err := l.cfg.Dial(f.ctx, l.cfg.Pod, f.key.source.Addr(), l.to.Number())
	if err != nil {
		l.log.Debug("application is not reached", "error", err)
		return
	}
	stop := context.AfterFunc(f.ctx, func() { c.Close() })
	defer stop()
	defer c.Close()
	if r := f.route; r != nil && len(r.Relays) > 0 {
		// The laptop refused, but may listen in a moment.
		limit := time.AfterFunc(askAgain, f.end)
		defer limit.Stop()
	}
	l.wg.Go(func() {
		for f.ctx.Err() == nil {
			l.answer(f, c)
		}
	})
	c.Write(first)
	for p, ok := l.next(f); ok; p, ok = l.next(f) {
		f.alive()
		c.Write(p)
	}
}

// answer passes on one datagram of the application. The buffer is taken once
// one is there: thousands of quiet flows must not hold 64 KiB each.
func (l *Listener) answer(f *flow, c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		f.end()
		return
	}
	err = raw.Read(func(fd uintptr) bool {
		buf := l.buffers.Get().(*[]byte)
		defer l.buffers.Put(buf)
		n, err := unix.Read(int(fd), *buf)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return false
		}
		if err == nil { // else the application's port is closed
			f.alive()
			l.send(f.key, (*buf)[:n])
		}
		return true
	})
	if err != nil {
		f.end() // the socket was closed
	}
}

// readDatagram reads what datagram.Write wrote into buf, or into a larger
// one where it must: most flows have small datagrams, and there may be many.
func readDatagram(r io.Reader, buf []byte) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read datagram: %w", err)
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > cap(buf) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("read datagram: %w", err)
	}
	return buf, nil
}
