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

// toLaptop moves datagrams both ways until the flow ends. First is the datagram that
// began the flow; sent says that the open carried it. The error is the stream's, if
// the stream broke within the time for a refusal and the laptop had sent no answer.
func (l *Listener) toLaptop(f *flow, laptop tunnel.Stream, first []byte, sent bool) error {
	stop := context.AfterFunc(f.ctx, laptop.Reset)
	defer stop()
	defer laptop.Close()
	began, ended := time.Now(), make(chan error, 1)
	l.wg.Go(func() { ended <- l.fromLaptop(f, laptop) })
	var wrote error // either the writer or the reader gets the error of a reset
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
				return nil // the laptop took the datagrams
			}
			return errors.Join(err, wrote)
		case <-f.ctx.Done():
			return nil
		}
	}
}

// fromLaptop sends the laptop's answers to the source. It returns the stream's error
// if the stream broke before the first answer.
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

// write sends a datagram to the laptop. On an error it resets the stream, so that
// fromLaptop ends too.
func (f *flow) write(laptop tunnel.Stream, p []byte) error {
	if err := datagram.Write(laptop, p); err != nil {
		laptop.Reset()
		return fmt.Errorf("write datagram: %w", err)
	}
	f.moved(len(p), 0)
	return nil
}

// notTaken returns why the laptop did not take the datagrams; broke is the error of
// toLaptop. If the laptop reset the stream, the program's port is closed. Any other
// error comes from a relay or a connection, and says nothing about the port.
func notTaken(broke error) error {
	if errors.Is(broke, syscall.ECONNRESET) {
		return fmt.Errorf("%w: %w", relay.ErrRefused, broke)
	}
	return broke
}

// toApplication moves datagrams between the source and the application. If the
// application's port is closed, the source gets no error, as behind any NAT.
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
		// The laptop refused the flow, but its program may listen soon.
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

// answer sends one datagram of the application to the source. It takes a buffer only
// when a datagram has arrived: thousands of idle flows must not hold 64 KiB each.
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
		if err == nil { // otherwise the application's port is closed
			f.alive()
			l.send(f.key, (*buf)[:n])
		}
		return true
	})
	if err != nil {
		f.end() // the socket was closed
	}
}

// readDatagram reads one datagram in the format of datagram.Write. It uses buf, or a
// larger buffer where the datagram needs one: most flows have small datagrams, and
// there may be many flows.
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
