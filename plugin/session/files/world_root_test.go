//go:build linux && rootful

package files

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	agent "github.com/kubectl-intercept/kubectl-intercept/agent/files"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/filestest"
)

const inside = "FILES_TEST_INSIDE"

// alone runs the calling test again, in a process with a mount namespace of its own. It
// returns true in that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// user is an identity without rights.
var user = agent.Identity{UID: 4711, GID: 4712, Groups: []uint32{4713}}

// served makes a pod with volumes of its own, which the user 4711 owns.
func served(t *testing.T, content map[string]string, mounts ...string) *filestest.Pod {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	filestest.Fill(t, root, content)
	for dir := root; dir != "/"; dir = filepath.Dir(dir) {
		if dir == root || strings.HasPrefix(dir, os.TempDir()+"/") {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(user.UID), int(user.GID))
	})
	if err != nil {
		t.Fatal(err)
	}
	return filestest.New(t, root, server(t, root, mounts...))
}

func server(t *testing.T, root string, mounts ...string) *agent.Server {
	t.Helper()
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	c := agent.Config{Root: dir, Identity: user, Log: slog.New(slog.DiscardHandler)}
	for _, m := range mounts {
		c.Mounts = append(c.Mounts, volume.Mount{Path: m})
	}
	s, err := agent.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// bring mounts a pod's volumes, until the test ends.
func bring(t *testing.T, pod *filestest.Pod, o Options) *Tree {
	t.Helper()
	o.Dial, o.Records = pod.Dial, filepath.Join(t.TempDir(), "mounts")
	if o.How == mount.None {
		o.How = mount.Auto
	}
	tree, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	if !tree.Mounted {
		t.Fatalf("it is not mounted: %s", tree.Notice)
	}
	return tree
}

// eventually waits until f says that it is so.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !f() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}
