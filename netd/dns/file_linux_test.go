package dns

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

const own = "nameserver 203.0.113.53\nsearch corp.example\n"

var cluster = handover.DNS{Server: netip.MustParseAddr("198.18.0.2"), Search: []string{"svc.cluster.local"}}

func newFile(t *testing.T) *File {
	t.Helper()
	dir := t.TempDir()
	f := &File{Path: dir + "/resolv.conf", Beside: dir + "/resolv.conf.before-intercept", Copy: dir + "/lib/resolv.conf", Lock: dir + "/lock"}
	write(t, f.Path, own)
	return f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// other is the next process: the lock went with the one before.
func (f *File) other() *File {
	if f.lock != nil {
		f.lock.Close()
	}
	g := *f
	g.lock = nil
	return &g
}

func taken(t *testing.T) *File {
	t.Helper()
	f := newFile(t)
	if err := f.Take(cluster); err != nil {
		t.Fatal(err)
	}
	if is, intact := ours([]byte(read(t, f.Path))); !is || !intact {
		t.Fatalf("not ours: %s", read(t, f.Path))
	}
	return f
}

// A process may be killed after each step of taking the file and of giving it
// back: the next one restores the user's file, and leaves nothing behind.
func TestKilledBetweenTwoSteps(t *testing.T) {
	tests := map[string]func(t *testing.T) *File{
		"before anything": newFile,
		"after the second name": func(t *testing.T) *File {
			f := newFile(t)
			if _, err := f.save([]byte(own)); err != nil {
				t.Fatal(err)
			}
			return f
		},
		"while ours was written beside": func(t *testing.T) *File {
			f := newFile(t)
			if err := os.Link(f.Path, f.Beside); err != nil {
				t.Fatal(err)
			}
			write(t, f.Path+unfinished, mark)
			return f
		},
		"taken": taken,
		"copied, not yet written": func(t *testing.T) *File {
			f := newFile(t)
			write(t, f.Copy, own)
			return f
		},
		"written in place": func(t *testing.T) *File {
			f := taken(t)
			write(t, f.Copy, own)
			if err := os.Remove(f.Beside); err != nil {
				t.Fatal(err)
			}
			return f
		},
		"given back, the copy still there": func(t *testing.T) *File {
			f := newFile(t)
			write(t, f.Copy, own)
			return f
		},
		"ours was deleted": func(t *testing.T) *File {
			f := taken(t)
			if err := os.Remove(f.Path); err != nil {
				t.Fatal(err)
			}
			return f
		},
	}
	for name, until := range tests {
		t.Run(name, func(t *testing.T) {
			f := until(t).other()
			r, err := f.Resolvers(cluster.Server)
			if name != "ours was deleted" && (err != nil || len(r) != 1 || r[0].String() != "203.0.113.53:53") {
				t.Errorf("resolvers %v, %v", r, err)
			}
			if err := f.Restore(); err != nil {
				t.Fatal(err)
			}
			if got := read(t, f.Path); got != own {
				t.Errorf("got %q", got)
			}
			if f.Left() {
				t.Error("something is left")
			}
			if err := f.Restore(); err != nil || read(t, f.Path) != own {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// While ours is written in place the file may be half of each.
func TestKilledWithinAWrite(t *testing.T) {
	f := taken(t)
	write(t, f.Copy, own)
	os.Remove(f.Beside)
	write(t, f.Path, read(t, f.Path)+"search rest.of.theirs\n")
	f = f.other()
	if err := f.Restore(); err != nil || read(t, f.Path) != own {
		t.Errorf("%v, %q", err, read(t, f.Path))
	}
}

func TestTakenOnce(t *testing.T) {
	f := taken(t)
	g := *f
	g.lock = nil
	if err := g.Take(cluster); !errors.Is(err, handover.ErrTaken) {
		t.Errorf("got %v, want handover.ErrTaken", err)
	}
	if err := g.Restore(); err != nil {
		t.Error(err)
	}
	if is, _ := ours([]byte(read(t, f.Path))); !is {
		t.Error("it was taken from who has it")
	}
	if err := f.Restore(); err != nil {
		t.Fatal(err)
	}
	if err := g.Take(cluster); err != nil {
		t.Errorf("after it was given back: %v", err)
	}
}
