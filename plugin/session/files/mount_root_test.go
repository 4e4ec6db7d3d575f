//go:build linux && rootful

package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// Programs read the volumes at the container's paths, and follow links within them alone.
func TestMountedForReading(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"data/a": "a", "data/dir/b": "b", "data/link": "->/data/dir/b", "data/out": "->/etc/passwd", "data/none": "->nowhere",
		"etc/app.conf": "conf", "etc/passwd": "outside", "run/secrets/..data": "->..1", "run/secrets/..1/token": "one", "run/secrets/token": "->..data/token", "var/run": "->/run"},
		"/data", "/etc/app.conf", "/run/secrets")
	tree := bring(t, pod, Options{})
	for name, want := range map[string]string{"data/a": "a", "data/link": "b", "etc/app.conf": "conf", "run/secrets/token": "one", "var/run/secrets/token": "one"} {
		if got := read(t, tree.Dir, name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	for name, want := range map[string]error{"data/out": syscall.EACCES, "data/none": syscall.ENOENT, "data/a/x": syscall.ENOTDIR, "data": syscall.EISDIR, "etc/passwd": syscall.ENOENT} {
		if _, err := os.ReadFile(filepath.Join(tree.Dir, name)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	out, err := exec.Command("find", tree.Dir, "-printf", "%P %y %U %s\n").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "data/dir/b f 0 1\n") {
		t.Errorf("%v: what is the container's is not ours:\n%s", err, out)
	}
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tree.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder is there: %v", err)
	}
}

// Kubernetes replaces a token by another folder and one rename, and removes the old folder
// at once. A program that reads it all the time gets the old one or the new one, and soon the
// new one.
func TestTokenRefreshes(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"run/secrets/..data": "->..0", "run/secrets/..0/token": "token-0", "run/secrets/token": "->..data/token"}, "/run/secrets")
	tree := bring(t, pod, Options{})
	volume := filepath.Join(pod.Root, "run/secrets")
	for i := range 5 {
		old, next, want := fmt.Sprintf("..%d", i), fmt.Sprintf("..%d", i+1), fmt.Sprintf("token-%d", i+1)
		if got := read(t, tree.Dir, "run/secrets/token"); got != fmt.Sprintf("token-%d", i) {
			t.Fatalf("before: %q", got)
		}
		if err := errors.Join(os.Mkdir(filepath.Join(volume, next), 0o755), os.WriteFile(filepath.Join(volume, next, "token"), []byte(want), 0o644),
			os.Symlink(next, filepath.Join(volume, "..tmp")), os.Rename(filepath.Join(volume, "..tmp"), filepath.Join(volume, "..data")),
			os.RemoveAll(filepath.Join(volume, old))); err != nil {
			t.Fatal(err)
		}
		eventually(t, want, func() bool { return read(t, tree.Dir, "run/secrets/token") == want })
	}
	// A file that is written in place.
	if err := os.WriteFile(filepath.Join(volume, "..5", "token"), []byte("TOKEN-5"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a file of the same size", func() bool { return read(t, tree.Dir, "run/secrets/token") == "TOKEN-5" })
}

func TestMountedForWriting(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"data/a": "a", "data/dir/b": "b", "data/ram/x": "x"}, "/data", "/data/ram")
	tree := bring(t, pod, Options{})
	at := func(name string) string { return filepath.Join(tree.Dir, "data", name) }
	big := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{1}).Read(big)
	stamp := time.Unix(1_600_000_000, 123_456_789)
	for _, step := range []struct {
		what string
		err  error
		want error
	}{
		{"write", os.WriteFile(at("new"), []byte("new"), 0o640), nil},
		{"write much", os.WriteFile(at("big"), big, 0o600), nil},
		{"overwrite", os.WriteFile(at("a"), []byte("A"), 0o600), nil},
		{"mkdir", os.MkdirAll(at("x/y"), 0o750), nil},
		{"rename", os.Rename(at("new"), at("x/y/moved")), nil},
		{"rename onto", os.Rename(at("dir/b"), at("a")), nil},
		{"rename to another volume", os.Rename(at("a"), at("ram/a")), syscall.EXDEV},
		{"symlink", os.Symlink("y/moved", at("x/link")), nil},
		{"symlink that leads out", os.Symlink("../../etc/passwd", at("x/out")), syscall.EACCES},
		{"link", os.Link(at("x/y/moved"), at("hard")), nil},
		{"remove what is not empty", os.Remove(at("x")), syscall.ENOTEMPTY},
		{"chmod", os.Chmod(at("hard"), 0o604), nil},
		{"times", os.Chtimes(at("hard"), stamp, stamp), nil},
		{"truncate", os.Truncate(at("big"), 3<<20), nil},
		{"remove", os.Remove(at("ram/x")), nil},
		{"above the volumes", os.WriteFile(filepath.Join(tree.Dir, "x"), nil, 0o600), syscall.EACCES},
		{"exclusive", func() error { _, err := os.OpenFile(at("a"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); return err }(), syscall.EEXIST},
	} {
		if !errors.Is(step.err, step.want) || step.want == nil && step.err != nil {
			t.Errorf("%s: %v, want %v", step.what, step.err, step.want)
		}
	}
	f, err := os.OpenFile(at("a"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"1", "2", "3"} {
		if _, err := f.WriteString(text); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{filepath.Join(pod.Root, "data"), filepath.Join(tree.Dir, "data")} {
		for name, want := range map[string]string{"a": "b123", "x/link": "new", "hard": "new", "big": string(big[:3<<20])} {
			if got := read(t, dir, name); got != want {
				t.Errorf("%s/%s has %d bytes", dir, name, len(got))
			}
		}
		info, err := os.Stat(filepath.Join(dir, "hard"))
		if err != nil || info.Mode() != 0o604 || !info.ModTime().Equal(stamp) {
			t.Errorf("%s: %v %v", dir, info, err)
		}
		if info, err = os.Stat(filepath.Join(dir, "x/y")); err != nil || info.Mode().Perm() != 0o750 {
			t.Errorf("%s: %v %v", dir, info, err)
		}
	}
	info, err := os.Stat(filepath.Join(pod.Root, "data/x"))
	if s := info.Sys().(*syscall.Stat_t); err != nil || s.Uid != user.UID || s.Gid != user.GID {
		t.Errorf("what was made belongs to %d:%d", s.Uid, s.Gid)
	}
}

// The pod's process may not do everything, and neither may programs here, although they are
// root.
func TestPermissions(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"data/own": "own", "data/group": "group", "data/root": "root", "data/closed/x": "x", "data/dir/x": "x"}, "/data")
	for name, mode := range map[string]os.FileMode{"own": 0o400, "group": 0o040, "root": 0o600, "closed": 0o700, "dir": 0o755} {
		p := filepath.Join(pod.Root, "data", name)
		uid, gid := 0, 0
		switch name {
		case "own":
			uid = int(user.UID)
		case "group":
			gid = int(user.Groups[0])
		}
		if err := errors.Join(os.Chown(p, uid, gid), os.Chmod(p, mode)); err != nil {
			t.Fatal(err)
		}
	}
	tree := bring(t, pod, Options{})
	at := func(name string) string { return filepath.Join(tree.Dir, "data", name) }
	for name, want := range map[string]error{"own": nil, "group": nil, "root": syscall.EACCES, "closed/x": syscall.EACCES, "dir/x": nil} {
		if _, err := os.ReadFile(at(name)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("reading %s: %v, want %v", name, err, want)
		}
	}
	for what, err := range map[string]error{"write": os.WriteFile(at("own"), nil, 0), "make": os.WriteFile(at("dir/new"), nil, 0o600), "remove": os.Remove(at("dir/x")), "chown": os.Chown(at("root"), 0, 0)} {
		if !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestMountedReadOnly(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"data/a": "a"}, "/data")
	tree := bring(t, pod, Options{ReadOnly: true})
	if got := read(t, tree.Dir, "data/a"); got != "a" {
		t.Errorf("%q", got)
	}
	for what, err := range map[string]error{"write": os.WriteFile(filepath.Join(tree.Dir, "data/a"), nil, 0), "remove": os.Remove(filepath.Join(tree.Dir, "data/a"))} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Many small files and a large one arrive as they are, in whatever order they are read.
func TestContent(t *testing.T) {
	if !alone(t) {
		return
	}
	content := map[string]string{}
	for i := range 3000 {
		content[fmt.Sprintf("data/many/%d/%d", i%3, i)] = strings.Repeat(fmt.Sprint(i, " "), i%500)
	}
	big := make([]byte, 40<<20+4711)
	rand.NewChaCha8([32]byte{2}).Read(big)
	content["data/big"] = string(big)
	pod := served(t, content, "/data")
	tree := bring(t, pod, Options{})
	for range 2 { // the second time from what is kept
		if out, err := exec.Command("diff", "-r", filepath.Join(pod.Root, "data"), filepath.Join(tree.Dir, "data")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %.2000s", err, out)
		}
	}
	f, err := os.Open(filepath.Join(tree.Dir, "data/big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	jumps := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off, b := jumps.Int64N(int64(len(big))), make([]byte, jumps.IntN(300_000))
		n, err := f.ReadAt(b, off)
		if err != nil && err != io.EOF || !bytes.Equal(b[:n], big[off:min(int64(len(big)), off+int64(len(b)))]) {
			t.Fatalf("%d bytes at %d: %d, %v", len(b), off, n, err)
		}
	}
}
