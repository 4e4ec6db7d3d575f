//go:build linux && rootful

package files

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
)

// While no pod is there, calls fail after a while; when there is one again, they work, and
// open files as well.
func TestComesBack(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"data/a": "first", "data/big": strings.Repeat("x", 3<<20)}, "/data")
	tree := bring(t, pod, Options{Wait: time.Second})
	big, err := os.Open(filepath.Join(tree.Dir, "data/big"))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	if got := read(t, tree.Dir, "data/a"); got != "first" {
		t.Errorf("%q", got)
	}
	pod.Replace(nil)
	eventually(t, "an error", func() bool {
		_, err := os.ReadFile(filepath.Join(tree.Dir, "data/a"))
		return errors.Is(err, syscall.EIO)
	})
	if err := os.WriteFile(filepath.Join(pod.Root, "data/a"), []byte("second"), 0o644); err != nil {
		t.Fatal(err)
	}
	pod.Replace(server(t, pod.Root, "/data"))
	eventually(t, "the new pod", func() bool {
		b, err := os.ReadFile(filepath.Join(tree.Dir, "data/a"))
		return err == nil && string(b) == "second"
	})
	b := make([]byte, 100)
	if n, err := big.ReadAt(b, 2<<20); string(b[:n]) != strings.Repeat("x", 100) {
		t.Errorf("an open file: %d %v", n, err)
	}
}

// Close unmounts also while a program is in the folder.
func TestUnmountedInUse(t *testing.T) {
	if !alone(t) {
		return
	}
	pod := served(t, map[string]string{"data/a": "a"}, "/data")
	tree := bring(t, pod, Options{Dir: filepath.Join(t.TempDir(), "pod")})
	f, err := os.Open(filepath.Join(tree.Dir, "data/a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := tree.Close(); err != nil {
		t.Fatal(err)
	}
	if ours, err := mounted(tree.Dir); ours || err != nil {
		t.Errorf("it is mounted: %v", err)
	}
}

const (
	recordsOf = "FILES_TEST_RECORDS"
	folderOf  = "FILES_TEST_FOLDER"
)

// A session that is killed leaves a mount that nobody serves. The next one unmounts it.
func TestKilled(t *testing.T) {
	if records := os.Getenv(recordsOf); records != "" {
		pod := served(t, map[string]string{"data/a": "a"}, "/data")
		if _, err := Start(t.Context(), Options{Dial: pod.Dial, How: mount.Auto, Dir: os.Getenv(folderOf), Records: records}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("mounted")
		select {}
	}
	if !alone(t) {
		return
	}
	records, dir := filepath.Join(t.TempDir(), "mounts"), filepath.Join(t.TempDir(), "a folder")
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), recordsOf+"="+records, folderOf+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(out); said != "mounted" && lines.Scan(); {
		said = lines.Text()
	}
	if said != "mounted" {
		t.Fatalf("it said %q", said)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	if _, err := os.Stat(dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("the mount that is left: %v", err)
	}
	all, err := Recover(records)
	if err != nil || len(all) != 1 || all[0] != dir {
		t.Errorf("unmounted are %v, %v", all, err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder: %v", err)
	}
	if all, err := Recover(records); err != nil || len(all) > 0 {
		t.Errorf("the second time: %v, %v", all, err)
	}
}

// Without /dev/fuse the volumes are copied, and the notice says so.
func TestWithoutFUSE(t *testing.T) {
	if !alone(t) {
		return
	}
	if err := syscall.Mount("tmpfs", "/dev", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/dev/null", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	pod := served(t, map[string]string{"data/a": "a"}, "/data")
	tree, err := Start(t.Context(), Options{Dial: pod.Dial, How: mount.Auto, Records: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tree.Dir)
	if tree.Mounted || !strings.Contains(tree.Notice, "since this machine cannot mount them: it has no /dev/fuse.") {
		t.Errorf("the notice is %q", tree.Notice)
	}
	if got := read(t, tree.Dir, "data/a"); got != "a" {
		t.Errorf("%q", got)
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
}
