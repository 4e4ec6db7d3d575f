package http1

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// TestLargeBodies: large bodies pass as they are, by the kernel and without it, and are
// counted.
func TestLargeBodies(t *testing.T) {
	blob := make([]byte, 5<<20+3)
	rand.NewChaCha8([32]byte{}).Read(blob)
	sized := fmt.Appendf(nil, "Content-Length: %d\r\n\r\n%s", len(blob), blob)
	inChunks := []byte("Transfer-Encoding: chunked\r\n\r\n")
	for piece := range slices.Chunk(blob, 100<<10) {
		inChunks = fmt.Appendf(inChunks, "%x\r\n%s\r\n", len(piece), piece)
	}
	inChunks = append(inChunks, "0\r\n\r\n"...)
	for _, body := range [][]byte{sized, inChunks} {
		request := append([]byte("POST / HTTP/1.1\r\n"), body...)
		response := append([]byte("HTTP/1.1 200 OK\r\n"), body...)
		for _, kernel := range []bool{true, false} {
			heard := make(chan []byte, 2)
			l := tunneltest.Listen(t, func(c net.Conn) {
				defer c.Close()
				for range 2 {
					got := make([]byte, len(request))
					io.ReadFull(c, got)
					heard <- got
					c.Write(response)
				}
			})
			to := &target{addr: l.Addr().String()}
			near, far := tunneltest.Pair(t)
			caller := tunnel.NewTCP(far)
			if !kernel {
				caller = struct{ tunnel.Stream }{caller}
			}
			served := make(chan error, 1)
			go func() {
				served <- Serve(t.Context(), caller, nil, &paths{application: to}, slog.New(slog.DiscardHandler))
			}()
			near.SetDeadline(time.Now().Add(2 * patience))
			for range 2 {
				go near.Write(request)
				got := make([]byte, len(response))
				if _, err := io.ReadFull(near, got); err != nil || !bytes.Equal(got, response) {
					t.Fatalf("another response: %v", err)
				}
				if !bytes.Equal(<-heard, request) {
					t.Fatal("another request")
				}
			}
			near.CloseWrite()
			if n, err := io.Copy(io.Discard, near); n != 0 || err != nil {
				t.Errorf("%d bytes more, %v", n, err)
			}
			near.Close()
			if err := <-served; err != nil {
				t.Error(err)
			}
			if in, out := to.in.Load(), to.out.Load(); in != int64(2*len(request)) || out != int64(2*len(response)) {
				t.Errorf("%d and %d bytes are counted, not %d and %d", in, out, 2*len(request), 2*len(response))
			}
		}
	}
}
