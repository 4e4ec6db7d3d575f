//go:build linux

package mounts

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// memory is a Record.
type memory struct {
	mu sync.Mutex
	state.State
}

func (m *memory) Change(change func(*state.State)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.State)
}

// copied is a copy that a former process has made.
func copied(t *testing.T, own bool) state.Mount {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "quote")
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	m := state.Mount{Wish: state.Wish{How: state.Copied}, Dir: dir, Paths: []string{"/data"}, Copied: true}
	if !own {
		m.Wish.Dir = dir
	}
	return m
}

// resumed is a Set that serves the copy of a former process.
func resumed(t *testing.T, m state.Mount) (*Set, *memory) {
	t.Helper()
	dir, err := state.OpenIn(t.TempDir(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	record := &memory{State: state.State{Mounts: map[string]state.Mount{"shop/quote": m}}}
	away := func(context.Context, string, string) (tunnel.Stream, error) { return nil, io.ErrUnexpectedEOF }
	s := New(Config{Dir: dir, Record: record, Open: away, Log: slog.New(slog.DiscardHandler)})
	s.Resume(t.Context(), "shop/quote", "1", m)
	for deadline := time.Now().Add(10 * time.Second); len(s.Status()) == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the copy is not resumed")
		}
	}
	return s, record
}

func isThere(m state.Mount) bool {
	_, err := os.Lstat(m.Dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// A copy is served by one process after the other, and goes with its intercept, unless the
// folder is the user's.
func TestCopiesOutliveProcesses(t *testing.T) {
	for _, own := range []bool{true, false} {
		m := copied(t, own)
		s, record := resumed(t, m)
		if v := s.Status()["shop/quote"]; v.Dir != m.Dir || !v.Copied || len(v.Paths) != 1 {
			t.Errorf("resumed is %+v", v)
		}
		s.Close(false)
		if !isThere(m) || len(record.Mounts) != 1 {
			t.Errorf("own %t: a successor finds %v", own, record.Mounts)
		}
		s, record = resumed(t, m)
		s.Keep(func() map[string]bool { return map[string]bool{"1": true} })
		if v, err := s.Bring(t.Context(), "shop/quote", "1", state.Wish{How: state.Same}); err != nil || v.Dir != m.Dir {
			t.Errorf("the same: %+v, %v", v, err)
		}
		s.Keep(func() map[string]bool { return nil })
		s.Close(true)
		if isThere(m) == own || len(record.Mounts) != 0 {
			t.Errorf("own %t: after the end: %t, %v", own, isThere(m), record.Mounts)
		}
		if _, err := s.Bring(t.Context(), "shop/quote", "1", state.Wish{}); !errors.Is(err, errOver) {
			t.Errorf("after the end: %v", err)
		}
	}
}

// A folder has the volumes of one intercept.
func TestFolderIsTaken(t *testing.T) {
	m := copied(t, false)
	s, _ := resumed(t, m)
	defer s.Close(true)
	_, err := s.Bring(t.Context(), "shop/other", "2", state.Wish{Dir: m.Dir})
	if want := "the folder " + m.Dir + " has the volumes of intercept shop/quote: name another one"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// What a killed process has left goes for good when its session does.
func TestRemove(t *testing.T) {
	dir, err := state.OpenIn(t.TempDir(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	own, users := copied(t, true), copied(t, false)
	if err := Remove(dir, &state.State{Mounts: map[string]state.Mount{"a/b": own, "c/d": users}}); err != nil || isThere(own) || !isThere(users) {
		t.Errorf("%v, %t, %t", err, isThere(own), isThere(users))
	}
}
