//go:build linux && rootful

package files

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Programs get signals all the time: Go's own scheduler sends them, and so do timers and
// profilers. A signal ends no call that the pod answers.
func TestSignaledWhileReading(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"data/small": "small", "data/link": "->small", "data/big": strings.Repeat("x", 3<<20)}, "/data")
	tree := bring(t, pod, Options{})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	reader, signals := unix.Gettid(), time.NewTicker(100*time.Microsecond)
	defer signals.Stop()
	go func() {
		for {
			select {
			case <-t.Context().Done():
				return
			case <-signals.C:
				_ = unix.Tgkill(os.Getpid(), reader, unix.SIGURG) // the thread is there: the test has it
			}
		}
	}()
	for i := range 20 {
		for name, size := range map[string]int{"small": 5, "link": 5, "big": 3 << 20} {
			b, err := os.ReadFile(filepath.Join(tree.Dir, "data", name))
			if err != nil || len(b) != size {
				t.Fatalf("round %d: %s: %d bytes, %v", i, name, len(b), err)
			}
		}
		// A new version, so that the pod is asked again.
		if err := os.WriteFile(filepath.Join(pod.Root, "data/small"), []byte("SMALL"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := os.ReadDir(filepath.Join(tree.Dir, "data")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree.Dir, "data/new"), []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(tree.Dir, "data/new")); err != nil {
			t.Fatal(err)
		}
	}
}
