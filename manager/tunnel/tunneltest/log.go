package tunneltest

import (
	"io"
	"log/slog"
	"sync"
	"testing"
)

// Log returns a logger that writes to the output of the test. What goroutines log once the
// test has ended is lost; the output of the test would panic.
func Log(t *testing.T) *slog.Logger {
	w := &output{w: t.Output()}
	t.Cleanup(w.end)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// output is the output of a test, until the test has ended.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = io.Discard
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}
