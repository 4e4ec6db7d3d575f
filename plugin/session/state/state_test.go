package state

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func openDir(t *testing.T) *Dir {
	t.Helper()
	d, err := OpenIn(t.TempDir(), "key")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLockIsExclusive(t *testing.T) {
	d := openDir(t)
	l, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Lock(); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v", err)
	}
	if locked, err := d.Locked(); err != nil || !locked {
		t.Fatalf("locked %v, %v", locked, err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if locked, err := d.Locked(); err != nil || locked {
		t.Fatalf("locked %v, %v", locked, err)
	}
}

func TestStateSurvives(t *testing.T) {
	d := openDir(t)
	s, err := d.Load()
	if err != nil || len(s.Key) != 32 || s.Session != "" {
		t.Fatalf("new state %+v, %v", s, err)
	}
	s.Session, s.Generation, s.Intercepts = "jane-laptop-abcde", 7, []types.NamespacedName{{Namespace: "shop", Name: "quote"}}
	if err := d.Save(s); err != nil {
		t.Fatal(err)
	}
	got, err := d.Load()
	if err != nil || cmp.Diff(s, got) != "" {
		t.Fatalf("%v\n%s", err, cmp.Diff(s, got))
	}
	if key := got.Identity().PublicKey(); key != s.Identity().PublicKey() || len(key) != 64 {
		t.Fatalf("public key %s", key)
	}
	info, err := os.Stat(d.file("session.json"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(d.file("session.json"), []byte(`{"key":"c2hvcnQ=","session":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = d.Load(); err != nil || got.Session != "" || len(got.Key) != 32 {
		t.Fatalf("state %+v of a broken file, %v", got, err)
	}
}

func TestSocketPathFits(t *testing.T) {
	tmp, err := os.MkdirTemp("", "s") // t.TempDir would be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	t.Setenv("TMPDIR", tmp)
	parent := filepath.Join(tmp, strings.Repeat("long/", 40))
	d, err := OpenIn(parent, "key")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Socket()) > maxSocketPath {
		t.Fatalf("socket path of %d bytes", len(d.Socket()))
	}
	l, err := net.Listen("unix", d.Socket())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	other, err := OpenIn(parent, "key2")
	if err != nil || other.Socket() == d.Socket() {
		t.Fatalf("two sessions share a socket, %v", err)
	}
}

func TestFailure(t *testing.T) {
	d := openDir(t)
	if err := d.Fail("no permission"); err != nil {
		t.Fatal(err)
	}
	if got := d.Failure(os.Getpid()); got != "no permission" {
		t.Fatalf("failure %q", got)
	}
	if got := d.Failure(1); got != "" {
		t.Fatalf("failure %q of another process", got)
	}
	d.ClearFailure()
	if got := d.Failure(os.Getpid()); got != "" {
		t.Fatalf("failure %q after clearing", got)
	}
}

func TestLogRotates(t *testing.T) {
	d := openDir(t)
	f, err := d.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxLog + 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if f, err = d.OpenLog(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.Seek(0, io.SeekEnd); err != nil || n != 0 {
		t.Fatalf("log of %d bytes after rotation, %v", n, err)
	}
}

// A place where nothing can be kept is told, with what to do, and looking does
// not make it.
func TestPlace(t *testing.T) {
	// Folders that are not the user's, made by sudo say.
	foreign := t.TempDir()
	cache := filepath.Join(foreign, ".cache", "kubectl-intercept")
	if err := os.MkdirAll(filepath.Join(cache, "key"), 0o700); err != nil {
		t.Fatal(err)
	}
	what := "cannot keep its files in " + cache
	if os.Getuid() == 0 {
		what = "sudo chown -R \"$(id -u)\" " + cache
		for _, path := range []string{cache, filepath.Join(cache, "key")} {
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		if err := os.Remove(filepath.Join(cache, "key")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(cache, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		home  string
		wants []string
	}{
		"no home":   {"", []string{"neither HOME nor XDG_CACHE_HOME is set"}},
		"another's": {foreign, []string{what, "XDG_CACHE_HOME"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", "")
			t.Setenv("HOME", c.home)
			_, oerr := Open("key")
			_, uerr := Usable()
			for _, err := range []error{oerr, uerr} {
				var place *CacheDirError
				if !errors.As(err, &place) {
					t.Fatalf("error %v", err)
				}
				for _, want := range c.wants {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q does not contain %q", err, want)
					}
				}
			}
		})
	}
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	path, err := Usable()
	if err != nil || path != filepath.Join(home, "cache", "kubectl-intercept") {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := os.Stat(filepath.Join(home, "cache")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking makes it: %v", err)
	}
}

// Two that look at once do not take each other for a process.
func TestLookersShare(t *testing.T) {
	d := openDir(t)
	look, err := d.lock(lockFile, tryShared)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Unlock()
	if locked, err := d.Locked(); err != nil || locked {
		t.Errorf("locked: %t, %v", locked, err)
	}
	if _, err := d.Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("the lock while one looks: %v", err)
	}
}
