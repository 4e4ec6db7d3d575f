//go:build linux

package copies

import (
	"bytes"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	agent "github.com/kubectl-intercept/kubectl-intercept/agent/files"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/filestest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

func client(t *testing.T, root string) *remote.Client {
	t.Helper()
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	status, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	id, err := agent.ReadIdentity(status)
	if err != nil {
		t.Fatal(err)
	}
	s, err := agent.New(agent.Config{Root: dir, Mounts: []volume.Mount{{Path: "/data"}, {Path: "/etc/app.conf"}}, Identity: id, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	pod := filestest.New(t, root, s)
	c := remote.New(pod.Dial, time.Minute)
	t.Cleanup(c.Close)
	return c
}

func TestCopy(t *testing.T) {
	root := t.TempDir()
	big := make([]byte, 2*volume.MaxData+12345)
	rand.NewChaCha8([32]byte{}).Read(big)
	filestest.Fill(t, root, map[string]string{
		"data/a": "a", "data/empty": "", "data/dir/b": "b", "data/dir/none/": "", "data/big": string(big), "data/huge": strings.Repeat("x", 9<<20),
		"data/link": "->dir/b", "data/..data": "->..2026", "data/..2026/token": "secret", "data/token": "->..data/token", "data/out": "->/etc/passwd",
		"etc/app.conf": "conf", "etc/passwd": "outside",
	})
	if err := os.Chmod(filepath.Join(root, "data/a"), 0o751); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	got, err := Copy(t.Context(), client(t, root), dir, Options{Limit: 9 << 20, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got.Files != 6 || got.Bytes != int64(len(big))+12 {
		t.Errorf("copied %d files, %d bytes", got.Files, got.Bytes)
	}
	left := ""
	for _, l := range got.Left {
		left += l.Path + ": " + l.Why + "\n"
	}
	if want := "/data/huge: it does not fit into 9 MiB\n/data/out: it leads out of the volumes\n"; left != want {
		t.Errorf("left out:\n%s", left)
	}
	for name, want := range map[string]string{"data/a": "a", "data/empty": "", "data/link": "b", "data/token": "secret", "etc/app.conf": "conf"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want || err != nil {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "data/big")); !bytes.Equal(b, big) || err != nil {
		t.Errorf("the large file has %d bytes, %v", len(b), err)
	}
	for name, want := range map[string]fs.FileMode{"data/a": 0o551, "data/big": 0o444, "data/dir/none": fs.ModeDir | 0o755} {
		was, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		is, err := os.Stat(filepath.Join(dir, name))
		if err != nil || is.Mode() != want || !is.ModTime().Equal(was.ModTime()) {
			t.Errorf("%s: %v, %v, want %v of %v", name, is, err, want, was.ModTime())
		}
	}
}

// A machine without symbolic links gets what they lead to.
func TestDuplicate(t *testing.T) {
	dir := t.TempDir()
	filestest.Fill(t, dir, map[string]string{"..2026/token": "secret", "..2026/sub/x": "x"})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	j := &job{root: root}
	if err := j.duplicate("..data/token", "token"); err == nil {
		t.Error("what is not there was copied")
	}
	for to, from := range map[string]string{"..data": "..2026", "again": "..2026/token"} {
		if err := j.duplicate(from, to); err != nil {
			t.Error(err)
		}
	}
	if err := j.duplicate("..2026", "..2026/sub/loop"); err == nil {
		t.Error("a folder was copied into itself")
	}
	for name, want := range map[string]string{"..data/token": "secret", "..data/sub/x": "x", "again": "secret"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want || err != nil {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1536: "1.5 KiB", 1 << 30: "1 GiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
