//go:build rootful

package files

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
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

// What is mounted within a volume is not a part of it, unless it is served too. Magic links of
// a /proc that is served lead nowhere.
func TestMountsWithin(t *testing.T) {
	if !alone(t) {
		return
	}
	root := world(t, map[string]string{"data/ram/": "", "data/other/": "", "data/proc/": "", "etc/app.conf": "image", "conf": "mounted", "data/link": "->other/secret"})
	for target, kind := range map[string]string{"ram": "tmpfs", "other": "tmpfs", "proc": "proc"} {
		if err := unix.Mount(kind, filepath.Join(root, "data", target), kind, 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // so that the folder can be removed
		for _, p := range []string{"etc/app.conf", "data/proc", "data/other", "data/ram"} {
			if err := unix.Unmount(filepath.Join(root, p), unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	})
	if err := errors.Join(unix.Mount(filepath.Join(root, "conf"), filepath.Join(root, "etc/app.conf"), "", unix.MS_BIND, ""),
		os.WriteFile(filepath.Join(root, "data/ram/x"), []byte("x"), 0o644), os.WriteFile(filepath.Join(root, "data/other/secret"), []byte("secret"), 0o644)); err != nil {
		t.Fatal(err)
	}
	c := client(t, serve(t, root, false, "/data", "/data/ram", "/data/proc", "/etc/app.conf"))
	reads(t, c, map[string]outcome{
		"/data/ram/x":               {"x", 0},
		"/etc/app.conf":             {"mounted", 0},
		"/data/other/secret":        {"", unix.EACCES},
		"/data/link":                {"", unix.EACCES},
		"/data/proc/self/root/conf": {"", unix.ELOOP},
		"/data/proc/self/cwd/x":     {"", unix.ELOOP},
	})
	infos, err := c.ReadDir("/data")
	if got := strings.Join(sorted(infos), " "); got != "link proc ram" || err != nil {
		t.Errorf("listed are %s, %v", got, err)
	}
	f, err := c.OpenFile("/etc/app.conf", os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("changed")); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "conf")); string(b) != "changed" || err != nil {
		t.Errorf("the mounted file is %q, %v", b, err)
	}
}

// Files are opened with the user, the groups and the capabilities of the container's process,
// and this process keeps its own.
func TestIdentity(t *testing.T) {
	root := world(t, map[string]string{"data/root": "x", "data/user": "x", "data/group": "x", "data/extra": "x", "data/everybody": "x"})
	for p := root; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	owners := map[string][2]int{"root": {0, 0}, "user": {4711, 0}, "group": {0, 4712}, "extra": {0, 4713}, "everybody": {0, 0}}
	modes := map[string]os.FileMode{"root": 0o600, "user": 0o400, "group": 0o040, "extra": 0o040, "everybody": 0o004}
	for name, owner := range owners {
		p := filepath.Join(root, "data", name)
		if err := errors.Join(os.Chown(p, owner[0], owner[1]), os.Chmod(p, modes[name])); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		id   Identity
		want string
	}{
		"a user":                    {Identity{UID: 4711, GID: 4712, Groups: []uint32{4713}}, "everybody extra group user"},
		"another user":              {Identity{UID: 1, GID: 1}, "everybody"},
		"a group":                   {Identity{UID: 1, GID: 4713}, "everybody extra"},
		"root":                      {Identity{Caps: 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH}, "everybody extra group root user"},
		"root without capabilities": {Identity{}, "root"},
		"a user with capabilities":  {Identity{UID: 1, GID: 1, Caps: 1 << unix.CAP_DAC_OVERRIDE}, "everybody extra group root user"},
	} {
		dir, err := os.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{Root: dir, Mounts: []volume.Mount{{Path: "/data"}}, Identity: test.id, Log: slog.New(slog.DiscardHandler)})
		dir.Close()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		c := conversation{s: s}
		for _, file := range []string{"everybody", "extra", "group", "root", "user"} {
			err := s.threads.do(func() error {
				if rec := c.small("/data/"+file, 100); rec.Errno == 0 {
					got = append(got, file)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		s.Close()
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s reads %s, want %s", name, text, test.want)
		}
	}
	status, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	if own, err := ReadIdentity(status); err != nil || own.UID != 0 || own.Caps&(1<<unix.CAP_DAC_OVERRIDE) == 0 {
		t.Errorf("this process is %+v, %v", own, err)
	}
}
