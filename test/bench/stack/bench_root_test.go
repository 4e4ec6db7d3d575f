//go:build rootful && linux

package stack

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkStack(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(map[bool]string{false: "offload", true: "plain"}[plain], func(b *testing.B) {
			for b.Loop() {
				figures, err := Run(b.Context(), Options{Rounds: 3, Duration: time.Second, Plain: plain})
				if err != nil {
					b.Fatal(err)
				}
				for _, f := range figures {
					fmt.Fprintf(b.Output(), "%-24s %8.1f → %8.1f %-7s ratio %.2f  CPU %4.0f → %4.0f ns/KiB\n",
						f.Name, f.Loopback, f.Stack, f.Unit, f.Ratio(), f.LoopbackCPU, f.StackCPU)
				}
			}
		})
	}
}

// TestRun sees that every figure is measured.
func TestRun(t *testing.T) {
	figures, err := Run(t.Context(), Options{Rounds: 1, Duration: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if f.Loopback <= 0 || f.Stack <= 0 {
			t.Errorf("%s: %v and %v", f.Name, f.Loopback, f.Stack)
		}
	}
}
