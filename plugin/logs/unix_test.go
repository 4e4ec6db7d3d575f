//go:build unix

package logs

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
)

// safe is a buffer that several goroutines use.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A file is followed when it grows, when another takes its place, and when it is emptied.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.log")
	add := func(flags int, text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	add(os.O_APPEND, "before\nlast\n")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out, done := &safe{}, make(chan error)
		go func() {
			done <- Print(ctx, out, []Source{File("session", path, "absent")}, Options{Follow: true, Tail: 1})
		}()
		want := func(text string) {
			t.Helper()
			time.Sleep(3 * look)
			synctest.Wait()
			if got := out.String(); got != text {
				t.Errorf("printed %q, want %q", got, text)
			}
		}
		want("last\n")
		add(os.O_APPEND, "more\n")
		want("last\nmore\n")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		want("last\nmore\n")
		add(os.O_APPEND, "new\n")
		want("last\nmore\nnew\n")
		add(os.O_TRUNC, "x\n")
		want("last\nmore\nnew\nx\n")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What only root may read is read with sudo: in silence, or after saying so.
func TestAsRoot(t *testing.T) {
	bin := t.TempDir()
	for name, text := range map[string]string{
		"sudo": "#!/bin/sh\nprintf '%s\\n' \"$*\" >&2\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	log := filepath.Join(bin, "log")
	if err := os.WriteFile(log, []byte(three), 0o600); err != nil {
		t.Fatal(err)
	}
	streams, _, _, said := genericiooptions.NewTestIOStreams()
	f := &netd.Finder{IOStreams: streams}
	for _, ask := range []bool{true, false} {
		said.Reset()
		var out bytes.Buffer
		if err := asRoot(t.Context(), f, &out, Options{Tail: 1, Ask: ask}, []string{"cat", log}, nil); err != nil {
			t.Fatal(err)
		}
		if want := "time=2026-11-29T12:00:00.000Z level=INFO msg=three\n"; out.String() != want {
			t.Errorf("printed %q, want %q", out.String(), want)
		}
		if ask != strings.Contains(said.String(), "    sudo -- cat "+log+"\n") {
			t.Errorf("ask=%v: said %q", ask, said)
		}
	}
	err := asRoot(t.Context(), f, io.Discard, Options{Tail: -1}, []string{"cat", log + "x"}, nil)
	if err == nil || !strings.Contains(err.Error(), "run sudo cat "+log+"x (-n -- cat ") {
		t.Errorf("error %v", err)
	}
}
