package record

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// What is busy is read in larger pieces, and the reader does not wait for more
// when no more comes.
func TestBatcherLosesNothing(t *testing.T) {
	a, b := tunneltest.Pair(t)
	batch := NewBatcher(b)
	piece := bytes.Repeat([]byte("x"), 16<<10)
	read := func(want int) {
		t.Helper()
		buf := make([]byte, 128<<10)
		for want > 0 {
			n, err := b.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			batch.Read(n)
			want -= n
		}
	}
	for range 20 {
		if !batch.busy.Load() {
			batch.begin()
		}
		go func() {
			for range 64 {
				a.Write(piece)
			}
			io.WriteString(a, "end") // far less than what a busy reader waits for
		}()
		read(64*len(piece) + len("end"))
	}
	for batch.busy.Load() { // it ends by itself
		runtime.Gosched()
	}
}
