package record

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// What is busy is read in larger pieces, every byte arrives in its place, and
// the reader does not wait for more when no more comes.
func TestBatcherLosesNothing(t *testing.T) {
	a, b := tunneltest.Pair(t)
	b.SetReadDeadline(time.Now().Add(20 * time.Second)) // a byte that is lost fails the test
	batch := NewBatcher(b)
	// The end is far less than what a busy reader waits for.
	sent := make([]byte, 64*16<<10+3)
	rand.NewChaCha8([32]byte{}).Read(sent)
	got, buf := make([]byte, 0, len(sent)), make([]byte, 128<<10)
	for round := range 20 {
		if !batch.busy.Load() {
			batch.begin()
		}
		wrote := make(chan error, 1)
		go func() {
			var err error
			for piece := range slices.Chunk(sent, 16<<10) {
				if _, err = a.Write(piece); err != nil {
					break
				}
			}
			wrote <- err
		}()
		for got = got[:0]; len(got) < len(sent); {
			n, err := b.Read(buf)
			if err != nil {
				t.Fatalf("round %d: %v after %d of %d bytes", round, err, len(got), len(sent))
			}
			batch.Read(n)
			got = append(got, buf[:n]...)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("round %d: %d bytes arrived, and they are not the %d that were sent", round, len(got), len(sent))
		}
	}
	tunneltest.Wait(t, "the busy time to end by itself", func() bool { return !batch.busy.Load() })
}
