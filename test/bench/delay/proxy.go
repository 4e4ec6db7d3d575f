// Package delay is a TCP proxy that forwards data after a fixed delay. It does not
// reduce the throughput.
//
// It simulates the network between a laptop and a distant API server on a kernel
// without netem. It delays bytes and the ends of streams, but not the TCP handshake,
// and it loses nothing. It buffers up to 64 MiB in each direction, so the throughput
// is limited to 64 MiB per delay.
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
	maxHeld   = 64 << 20 // buffered bytes per direction
)

// Proxy accepts connections and forwards each of them to Target.
type Proxy struct {
	Target string
	OneWay time.Duration
	// Dial connects to Target. If it is nil, a net.Dialer does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// chunk is the data of one read, and the time at which it must be written. A chunk
// without data stands for the end of the stream.
type chunk struct {
	due  time.Time
	data []byte
}

// Serve forwards connections until ctx ends or the listener fails. Before it
// returns, it closes the listener and all connections.
func (p Proxy) Serve(ctx context.Context, listener net.Listener) error {
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
		wg.Go(func() { p.serve(ctx, c) })
	}
}

// serve forwards one connection and closes it.
func (p Proxy) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	dial := p.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	u, err := dial(ctx, "tcp", p.Target)
	if err != nil {
		return // the client sees that its connection is closed
	}
	defer u.Close()
	stop := context.AfterFunc(ctx, func() { c.Close(); u.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { p.direction(u, c) })
	wg.Go(func() { p.direction(c, u) })
	wg.Wait()
}

// direction copies bytes from src to dst until src ends or one of the two fails. It
// forwards the end of src to dst. A failure ends the connection in both directions.
func (p Proxy) direction(dst, src net.Conn) {
	queue := make(chan chunk, maxHeld/chunkSize)
	free := make(chan []byte, 64)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { deliver(dst, src, queue, free) })
	defer close(queue)
	for {
		var b []byte
		select {
		case b = <-free:
		default:
			b = make([]byte, chunkSize)
		}
		n, err := src.Read(b)
		if n > 0 {
			queue <- chunk{time.Now().Add(p.OneWay), b[:n]}
		}
		if err == io.EOF {
			queue <- chunk{due: time.Now().Add(p.OneWay)}
			return
		}
		if err != nil {
			dst.Close()
			return
		}
	}
}

// deliver writes each chunk at the time at which it is due. After a failed write it
// still receives all chunks, so that direction does not block.
func deliver(dst, src net.Conn, queue <-chan chunk, free chan<- []byte) {
	failed := false
	for c := range queue {
		if failed {
			continue
		}
		time.Sleep(time.Until(c.due))
		if c.data == nil {
			if h, ok := dst.(interface{ CloseWrite() error }); ok {
				_ = h.CloseWrite() // an error means that dst is closed already
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
