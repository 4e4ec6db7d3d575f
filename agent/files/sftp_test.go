package files

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// code is the error of an operation, as a client understands it.
func code(err error) unix.Errno {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, os.ErrNotExist):
		return unix.ENOENT
	case errors.Is(err, os.ErrPermission):
		return unix.EACCES
	}
	n, ok := volume.ErrnoOf(err.Error())
	if !ok {
		return 0xfff
	}
	return unix.Errno(n)
}

// outcome is what a client gets that reads a file.
type outcome struct {
	text string
	code unix.Errno
}

// reads reads files, by path.
func reads(t *testing.T, c *sftp.Client, all map[string]outcome) {
	t.Helper()
	for p, want := range all {
		f, err := c.Open(p)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(f)
			f.Close()
		}
		if string(text) != want.text || code(err) != want.code {
			t.Errorf("%q: %q %v, want %q %v", p, text, err, want.text, want.code)
		}
	}
}

var volumes = []string{"/data", "/etc/app.conf", "/run/secrets"}

func TestRead(t *testing.T) {
	c := client(t, serve(t, container(t), false, volumes...))
	reads(t, c, map[string]outcome{
		"/data/a":                   {"a", 0},
		"data/a":                    {"a", 0},
		"/data/../data/./dir//b":    {"b", 0},
		"/data/link":                {"b", 0},
		"/data/folder/b":            {"b", 0},
		"/data/dir/up":              {"a", 0},
		"/etc/app.conf":             {"conf", 0},
		"/run/secrets/token":        {"first", 0},
		"/run/secrets/..data/token": {"first", 0},
		"/data/none":                {"", unix.ENOENT},
		"/data":                     {"", unix.EISDIR},
		"/data/a/b":                 {"", unix.ENOTDIR},
		"/etc/app.conf/x":           {"", unix.ENOTDIR},
		"/data/abs":                 {"", unix.EACCES},
		"/data/out":                 {"", unix.EACCES},
		"/data/outdir/secret":       {"", unix.EACCES},
		"/data/root/etc/passwd":     {"", unix.EACCES},
		"/data/passwd":              {"", unix.EACCES},
		"/data/magic/etc/passwd":    {"", unix.EACCES},
		"/data/tricky":              {"", unix.EACCES},
		"/data/loop":                {"", unix.ELOOP},
		"/data/../etc/passwd":       {"", unix.EACCES},
		"/etc/passwd":               {"", unix.EACCES},
		"/database/x":               {"", unix.EACCES},
		"/":                         {"", unix.EACCES},
		"../../../etc/passwd":       {"", unix.EACCES},
		"/data/a\x00/../../etc":     {"", unix.EACCES},
	})
}

func sorted(infos []os.FileInfo) []string {
	var all []string
	for _, i := range infos {
		all = append(all, i.Name())
	}
	slices.Sort(all)
	return all
}

func TestTree(t *testing.T) {
	s := serve(t, container(t), true, append(volumes, "/none", "/data/ram")...)
	c := client(t, s)
	for dir, want := range map[string]string{"/": "data etc run var", "/etc": "app.conf", "/var": "run", "/run": "secrets", "/data/dir": "b up", "/run/secrets": "..2026_01 ..data token"} {
		infos, err := c.ReadDir(dir)
		if got := strings.Join(sorted(infos), " "); got != want || err != nil {
			t.Errorf("%s: %s %v", dir, got, err)
		}
		for _, i := range infos {
			alone, err := c.Lstat(dir + "/" + i.Name())
			if err != nil || alone.Mode() != i.Mode() || alone.Size() != i.Size() {
				t.Errorf("%s: listed as %v %d, alone %v, %v", i.Name(), i.Mode(), i.Size(), alone, err)
			}
		}
	}
	for link, want := range map[string]string{"/var/run": "../run", "/data/abs": "../data/dir/b", "/data/link": "dir/b", "/run/secrets/token": "..data/token"} {
		if got, err := c.ReadLink(link); got != want || err != nil {
			t.Errorf("%s leads to %q, %v", link, got, err)
		}
	}
	for link, want := range map[string]unix.Errno{"/data/out": unix.EACCES, "/data/tricky": unix.EACCES, "/data/magic": unix.EACCES, "/data/a": unix.EINVAL, "/data/none": unix.ENOENT} {
		if _, err := c.ReadLink(link); code(err) != want {
			t.Errorf("%s: %v, want %v", link, err, want)
		}
	}
	if _, err := c.Lstat("/data/gone/x"); code(err) != unix.ESTALE {
		t.Errorf("a name in a folder that is not there: %v", err)
	}
	var paths []string
	for _, m := range s.Tree().Mounts {
		if paths = append(paths, m.Path); !m.ReadOnly {
			t.Errorf("%s can be written to", m.Path)
		}
	}
	if got := strings.Join(paths, " "); got != "/data /data/ram /etc/app.conf /run/secrets" {
		t.Errorf("served are %s", got)
	}
	if err := c.Mkdir("/data/new"); code(err) != unix.EROFS {
		t.Errorf("mkdir on what is read-only: %v", err)
	}
	if _, err := c.Create("/data/new"); code(err) != unix.EROFS {
		t.Errorf("create on what is read-only: %v", err)
	}
}

func TestChange(t *testing.T) {
	root := container(t)
	c := client(t, serve(t, root, false, append(volumes, "/data/ram")...))
	create := func(p string) func() error {
		return func() error {
			f, err := c.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
			if err == nil {
				err = f.Close()
			}
			return err
		}
	}
	for _, step := range []struct {
		what string
		do   func() error
		want unix.Errno
	}{
		{"create", create("/data/new"), 0},
		{"create what is there", create("/data/new"), unix.EEXIST},
		{"create through a link", create("/data/folder/new"), 0},
		{"create outside", create("/data/outdir/new"), unix.EACCES},
		{"create beside a mount", create("/etc/new"), unix.EACCES},
		{"create at a link that leads out", func() error { _, err := c.OpenFile("/data/out", os.O_WRONLY|os.O_CREATE); return err }, unix.EACCES},
		{"chmod", func() error { return c.Chmod("/data/new", 0o640) }, 0},
		{"chmod of a link that leads out", func() error { return c.Chmod("/data/out", 0o777) }, unix.EOPNOTSUPP},
		{"truncate", func() error { return c.Truncate("/data/a", 0) }, 0},
		{"truncate through a link", func() error { return c.Truncate("/data/out", 0) }, unix.EACCES},
		{"mkdir", func() error { return c.Mkdir("/data/sub") }, 0},
		{"mkdir outside", func() error { return c.Mkdir("/data/outdir/sub") }, unix.EACCES},
		{"rename", func() error { return c.Rename("/data/new", "/data/sub/moved") }, 0},
		{"rename onto a file", func() error { return c.Rename("/data/sub/moved", "/data/a") }, unix.EEXIST},
		{"replace", func() error { return c.PosixRename("/data/sub/moved", "/data/a") }, 0},
		{"rename to outside", func() error { return c.PosixRename("/data/a", "/data/outdir/a") }, unix.EACCES},
		{"rename from outside", func() error { return c.PosixRename("/data/outdir/secret", "/data/x") }, unix.EACCES},
		{"rename to another volume", func() error { return c.PosixRename("/data/a", "/data/ram/a") }, unix.EXDEV},
		{"rename a volume", func() error { return c.PosixRename("/data", "/data2") }, unix.EBUSY},
		{"link", func() error { return c.Link("/data/a", "/data/hard") }, 0},
		{"link to outside", func() error { return c.Link("/data/outdir/secret", "/data/hard2") }, unix.EACCES},
		{"symlink", func() error { return c.Symlink("dir/b", "/data/soft") }, 0},
		{"symlink to a volume's path", func() error { return c.Symlink("/data/dir/b", "/data/soft2") }, 0},
		{"symlink that leads out", func() error { return c.Symlink("../etc/passwd", "/data/soft3") }, unix.EACCES},
		{"symlink outside", func() error { return c.Symlink("a", "/data/outdir/soft") }, unix.EACCES},
		{"remove of a folder that is not empty", func() error { return c.RemoveDirectory("/data/dir") }, unix.ENOTEMPTY},
		{"remove", func() error { return c.RemoveDirectory("/data/sub") }, 0},
		{"remove of a link", func() error { return c.Remove("/data/passwd") }, 0},
		{"remove outside", func() error { return c.Remove("/data/outdir/secret") }, unix.EACCES},
		{"remove of a volume", func() error { return c.RemoveDirectory("/run/secrets") }, unix.EBUSY},
		{"times", func() error {
			a := volume.Attr{MtimeNS: 1_500_000_000_123_456_789, AtimeNS: 5}
			return c.SetExtendedData("/data/a", []sftp.StatExtended{{ExtType: volume.AttrName, ExtData: string(a.Append(nil))}})
		}, 0},
		{"sync", func() error { return c.SetExtendedData("/data/a", []sftp.StatExtended{{ExtType: volume.SyncName}}) }, 0},
	} {
		if err := step.do(); code(err) != step.want {
			t.Errorf("%s: %v, want %v", step.what, err, step.want)
		}
	}
	info, err := os.Lstat(filepath.Join(root, "data/a"))
	if err != nil || info.Mode() != 0o640 || info.ModTime().UnixNano() != 1_500_000_000_123_456_789 {
		t.Errorf("the file is %v, %v", info, err)
	}
	for _, p := range []string{"etc/passwd", "outside/secret", "database/x"} {
		if b, err := os.ReadFile(filepath.Join(root, p)); string(b) != "outside" || err != nil {
			t.Errorf("%s: %q %v", p, b, err)
		}
	}
	if _, err := c.StatVFS("/data"); err != nil {
		t.Errorf("statvfs: %v", err)
	}
}

// Appending goes to the end of the file, wherever the client believes that to be.
func TestAppend(t *testing.T) {
	root := container(t)
	c := client(t, serve(t, root, false, "/data"))
	f, err := c.OpenFile("/data/a", os.O_WRONLY|os.O_APPEND)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("+"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "data/a")); string(b) != "a+" || err != nil {
		t.Errorf("%q %v", b, err)
	}
}
