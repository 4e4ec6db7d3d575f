package meter

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// Serve answers connections on l until ctx ends. Then it closes l and all
// connections.
func Serve(ctx context.Context, l net.Listener, name string) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			answer(ctx, c, name)
		})
	}
}

// answer serves one connection. It reports no errors, because the client sees them.
func answer(ctx context.Context, c net.Conn, name string) {
	op, err := readNumber(c, 1)
	if err != nil {
		return
	}
	switch op {
	case opEcho:
		echo(c)
	case opUpload:
		if n, err := drain(c); err == nil {
			_, _ = c.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
		}
	case opDownload:
		if ms, err := readNumber(c, 4); err == nil {
			_ = send(c, time.Now().Add(time.Duration(ms)*time.Millisecond))
		}
	case opStall:
		if ms, err := readNumber(c, 4); err == nil {
			hold(ctx, min(time.Duration(ms)*time.Millisecond, maxHold))
		}
	case opWho:
		_, _ = io.WriteString(c, name+"\n")
	}
}

func readNumber(c net.Conn, size int) (uint32, error) {
	b := make([]byte, 4)
	_, err := io.ReadFull(c, b[4-size:])
	return binary.BigEndian.Uint32(b), err
}

// echo does not use io.Copy: io.Copy would use splice(2), and so avoid the copies
// that an ordinary program makes.
func echo(c net.Conn) {
	b := make([]byte, 4<<10)
	for {
		n, err := c.Read(b)
		if n > 0 {
			if _, werr := c.Write(b[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drain counts the bytes that arrive before the end mark.
func drain(c net.Conn) (int64, error) {
	b := make([]byte, bufferSize)
	var total int64
	for {
		n, err := c.Read(b)
		total += int64(n)
		if n > 0 && b[n-1] == endMark {
			return total - 1, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// send writes zeros until the deadline and then the end mark.
func send(c net.Conn, deadline time.Time) error {
	b := make([]byte, bufferSize)
	for time.Now().Before(deadline) {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	_, err := c.Write([]byte{endMark})
	return err
}

func hold(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
