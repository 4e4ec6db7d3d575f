// Package delay is a line of a given length between two TCP programs: what
// goes in comes out later, as fast as it went in.
//
// It stands for the way from a laptop to a distant API server, where the
// kernel has no such thing. It delays bytes and ends of streams, not the
// handshake, and loses nothing. A direction holds up to 64 MiB, so it does not
// limit the speed until that is 64 MiB per delay.
package delay

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkSize = 64 << 10
	maxHeld   = 64 << 20 // bytes per direction
)

// Line takes connections and passes them on to an address.
type Line struct {
	Target string
	OneWay time.Duration
	// Dial reaches Target; nil: from where this program is.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// chunk is what was read at once, with the time at which it is due.
type chunk struct {
	due  time.Time
	data []byte
}

// Serve passes connections on until ctx ends, and closes l and all of them.
func (l Line) Serve(ctx context.Context, listener net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		c, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() { l.serve(ctx, c) })
	}
}

// serve owns c.
func (l Line) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	dial := l.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	u, err := dial(ctx, "tcp", l.Target)
	if err != nil {
		return // c is closed: that is how a client learns it
	}
	defer u.Close()
	stop := context.AfterFunc(ctx, func() { c.Close(); u.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { l.direction(u, c) })
	wg.Go(func() { l.direction(c, u) })
	wg.Wait()
}

// direction moves bytes until src ends or dst takes no more. An end of src is
// passed on as an end; a failure ends the connection in both directions.
func (l Line) direction(dst, src net.Conn) {
	line := make(chan chunk, maxHeld/chunkSize)
	free := make(chan []byte, 64)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { deliver(dst, src, line, free) })
	defer close(line)
	for {
		var b []byte
		select {
		case b = <-free:
		default:
			b = make([]byte, chunkSize)
		}
		n, err := src.Read(b)
		if n > 0 {
			line <- chunk{time.Now().Add(l.OneWay), b[:n]}
		}
		if err == io.EOF {
			line <- chunk{due: time.Now().Add(l.OneWay)}
			return
		}
		if err != nil {
			dst.Close()
			return
		}
	}
}

// deliver writes each chunk when it is due. It takes all of them even when
// nothing can be written any more, so that the reader never waits for it.
func deliver(dst, src net.Conn, line <-chan chunk, free chan<- []byte) {
	failed := false
	for c := range line {
		if failed {
			continue
		}
		time.Sleep(time.Until(c.due))
		if c.data == nil {
			if h, ok := dst.(interface{ CloseWrite() error }); ok {
				_ = h.CloseWrite() // an error means that it is closed already
			}
			continue
		}
		if _, err := dst.Write(c.data); err != nil {
			failed = true
			src.Close()
			continue
		}
		select {
		case free <- c.data[:chunkSize]:
		default:
		}
	}
}
