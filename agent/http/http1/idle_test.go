//go:build !race

package http1

import (
	"runtime"
	"testing"
)

// TestIdleConnections: idle connections hold little memory, ends of the test included.
func TestIdleConnections(t *testing.T) {
	const connections, most = 200, 24 << 10
	to := answering(t, answerText)
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := used()
	for range connections {
		c := served(t, to)
		ask(t, c, []byte(askText), make([]byte, len(answerText)))
	}
	if each := (used() - before) / connections; each > most {
		t.Errorf("%d bytes each", each)
	}
}
