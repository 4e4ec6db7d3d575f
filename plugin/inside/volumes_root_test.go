//go:build linux && rootful

package inside

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespaces is the variable by which the test knows that it is the process inside.
const inNamespaces = "INSIDE_TEST_FOLDER"

// user is one without rights.
const user = 4711

// TestVolumes: root, and a user without rights, see volumes at their own paths, also where
// this machine has no such folder. What programs need stays, and so does the machine.
func TestVolumes(t *testing.T) {
	if folder := os.Getenv(inNamespaces); folder != "" {
		volumesInside(t, folder)
		return
	}
	for name, a := range map[string]*syscall.SysProcAttr{
		"root": {Cloneflags: unix.CLONE_NEWNS},
		"user": {Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: user, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: user, Size: 1}}, Credential: &syscall.Credential{Uid: user, Gid: user, NoSetGroups: true},
			AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}},
	} {
		t.Run(name, func(t *testing.T) {
			folder, err := os.MkdirTemp("/tmp", "volumes-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(folder) })
			if err := os.Chown(folder, user, user); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestVolumes$", "-test.v", "-test.timeout=1m")
			cmd.Env, cmd.Dir, cmd.SysProcAttr = append(os.Environ(), inNamespaces+"="+folder, "HOME="+folder), folder, a
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestVolumes") {
				t.Errorf("%v\n%s", err, out)
			}
			for _, path := range []string{"/etc/volumes-test", "/volumes-test"} {
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is on this machine: %v", path, err)
				}
			}
		})
	}
}

// mounted mounts an empty folder with files.
func mounted(t *testing.T, dir, content string, paths ...string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		file := filepath.Join(dir, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func volumesInside(t *testing.T, folder string) {
	if err := private(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(folder, "volumes")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	shown := []string{"/etc/volumes-test/color", "/etc/volumes-test.conf", "/volumes-test/a/data", "/volumes-test/b", "/usr/share/doc/color"}
	mounted(t, dir, "green", append(shown, "/etc/passwd", "/tmp/volumes-test", "/home/x", "/dev/shm/x")...)
	p := &places{folder: folder, needed: neededBy(folder)}
	notices := p.put(&Volumes{Dir: dir, Paths: []string{"/volumes-test/b", "/etc/volumes-test", "/etc/volumes-test.conf", "/volumes-test/a", "/volumes-test/a/data",
		"/usr/share/doc", "/etc/passwd", "/etc", "/home", "/", "/dev/shm", "/tmp/volumes-test", "/missing"}})
	said := strings.Join(notices, "\n")
	for _, want := range []string{"the volume / is at " + dir + " alone: it would cover /bin of this machine", "/etc is at " + dir + "/etc alone: it would cover /etc",
		"/etc/passwd alone: it would cover /etc/passwd", "it would cover /home of", "/dev is this machine's kernel's", "has no such folder in /tmp, and programs work there", "/missing alone"} {
		if !strings.Contains(said, want) {
			t.Errorf("the notices do not say %q", want)
		}
	}
	if len(notices) != 7 {
		t.Errorf("%d notices:\n%s", len(notices), said)
	}
	for _, path := range shown {
		if b, err := os.ReadFile(path); string(b) != "green" {
			t.Errorf("%s has %q, %v", path, b, err)
		}
	}
	// What the machine has is there.
	if now, err := os.Getwd(); err != nil || now != folder {
		t.Errorf("the working folder is %s, %v", now, err)
	}
	if b, err := os.ReadFile("/etc/passwd"); err != nil || !strings.Contains(string(b), "root:") {
		t.Errorf("/etc/passwd: %v", err)
	}
	if out, err := exec.Command("sh", "-c", "ls /proc/self/fd /sys /run /var/lib >/dev/null && echo x >/dev/null && test -L /proc/self/exe").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if os.Geteuid() != 0 && (os.Mkdir("/etc/volumes-more", 0o755) == nil || os.Mkdir("/volumes-more", 0o755) == nil) {
		t.Error("a user makes folders of root")
	}

	// Another session mounts the volumes anew.
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	mounted(t, dir, "blue", shown...)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		missing := ""
		for _, path := range shown {
			if b, err := os.ReadFile(path); err != nil || string(b) != "blue" {
				missing = path
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still the former one", missing)
		}
	}
}
