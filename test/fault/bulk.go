//go:build linux

package fault

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

const (
	block      = 64 << 10
	blockEvery = 40 * time.Millisecond // 1.6 MB/s each way
	bulkLimit  = 20 * time.Second      // a flow that stands still for longer is begun anew
)

// bulk has an echo send back bytes that no layer can guess, and compares them. When a
// connection ends, the next one begins.
func (g *load) bulk(ctx context.Context, name string, from *lab.Space, addr func() string) {
	for ctx.Err() == nil {
		if c, err := from.Dial(ctx, "tcp", addr()); err == nil {
			over := context.AfterFunc(ctx, func() { c.Close() })
			g.pour(ctx, name, c)
			over()
			c.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(blockEvery):
		}
	}
}

// pour sends and compares until the connection ends.
func (g *load) pour(ctx context.Context, name string, c net.Conn) {
	seed := binary.LittleEndian.AppendUint64(make([]byte, 24), g.ids.Add(1))
	g.ran.Go(func() {
		random, ticker := rand.NewChaCha8([32]byte(seed)), time.NewTicker(blockEvery)
		defer ticker.Stop()
		buf := make([]byte, block)
		for ctx.Err() == nil {
			_, _ = random.Read(buf) // never fails
			if _, err := c.Write(buf); err != nil {
				return
			}
			<-ticker.C
		}
	})
	random := rand.NewChaCha8([32]byte(seed))
	got, want := make([]byte, block), make([]byte, block)
	for {
		if err := c.SetReadDeadline(time.Now().Add(bulkLimit)); err != nil {
			return
		}
		n, err := io.ReadAtLeast(c, got, 1)
		_, _ = random.Read(want[:n]) // never fails
		g.rec.with(func(in *round) {
			in.moved += int64(n)
			in.since[name] += int64(n)
			if !bytes.Equal(got[:n], want[:n]) {
				in.damaged += int64(n)
			}
		})
		if err != nil {
			return
		}
	}
}
