package files

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pkg/sftp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// outside describes everything that is not in the served volumes: names, modes, sizes, times
// and content.
func outside(t *testing.T, root string) (text string, inodes map[uint64]string) {
	t.Helper()
	inodes = map[uint64]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(p, root)
		if err != nil {
			return err
		}
		if rel == "/data" || rel == "/run/secrets" || rel == "/etc/app.conf" {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := info.Sys().(*syscall.Stat_t)
		inodes[s.Ino] = rel
		text += fmt.Sprintf("%s %v %d %v %v %d\n", rel, info.Mode(), info.Size(), s.Mtim, s.Ctim, s.Nlink)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text, inodes
}

// Whatever a client asks for, in whatever path: nothing outside of the volumes is read, shown
// or changed.
func FuzzNoEscape(f *testing.F) {
	for _, p := range []string{"/data/a", "/data/out", "/data/outdir/secret", "/data/root/etc/passwd", "/data/../etc/passwd", "/data/magic/etc/passwd",
		"/data/cwd/x", "/data/dir/../../outside", "/data/tricky", "/data/loop", "/", "", ".", "..", "/etc", "/etc/passwd", "/var/run", "/var/run/secrets/token",
		"/run/secrets/..data/token", "/run/secrets/../../etc/passwd", "/data\x00/../etc", "/data//../..//etc/passwd", "/proc/self/root/etc/passwd",
		"/etc/app.conf/../passwd", "/etc/app.conf", "/data/folder/../../etc/passwd", "/dev/fd/3"} {
		for _, target := range []string{"/data/new", "/data/outdir/new", "../etc/passwd", "/etc/new", p} {
			f.Add(p, target)
		}
	}
	f.Fuzz(func(t *testing.T, p, target string) {
		root := container(t)
		before, inodes := outside(t, root)
		s := serve(t, root, false, volumes...)
		h := handlers{s}
		show := func(what string, a volume.Attr) {
			if name, is := inodes[a.Ino]; is {
				t.Errorf("%s %q shows %s", what, p, name)
			}
		}
		tell := func(what string, b []byte) {
			if strings.Contains(string(b), "outside") {
				t.Errorf("%s %q tells what is outside", what, p)
			}
		}
		request := func(method string) *sftp.Request {
			r := sftp.NewRequest(method, p)
			r.Target = filepath.Join("/", target)
			return r
		}
		for _, kind := range []string{"Stat", "Lstat", "List"} {
			l, err := h.Filelist(request(kind))
			if kind == "Lstat" {
				l, err = h.Lstat(request(kind))
			}
			if err != nil {
				continue
			}
			for _, i := range l.(lister) {
				show(kind, i.a)
			}
		}
		if link, err := h.Readlink(p); err == nil && !volume.Inside(filepath.Join("/", p), link) {
			t.Errorf("%q leads to %q", p, link)
		}
		for _, flags := range []uint32{1, 3, 2, 2 | 4, 2 | 8, 2 | 8 | 32, 1 | 2 | 8 | 16} { // read, write, append, create, truncate, exclusive
			r := request("Open")
			r.Flags = flags
			o, err := h.OpenFile(r)
			if err != nil {
				continue
			}
			b := make([]byte, 64)
			// Some are not open for reading or for writing.
			n, _ := o.ReadAt(b, 0)
			tell("open", b[:n])
			_, _ = o.WriteAt([]byte("!"), 0)
			o.(*file).Close()
		}
		c := conversation{s: s}
		tell("get", c.small(p, 64).Data)
		for _, method := range []string{"Link", "Mkdir", "Setstat", "Rename", "Symlink", "Remove", "Rmdir"} {
			r := request(method)
			switch method {
			case "Symlink":
				r.Filepath, r.Target = target, filepath.Join("/", p)
			case "Setstat": // size, mode, times
				r.Flags, r.Attrs = 1|4|8, []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0o377, 0, 0, 0, 1, 0, 0, 0, 1}
			}
			// Most are refused. What matters is what is outside afterwards.
			_ = h.Filecmd(r)
		}
		_ = h.PosixRename(request("PosixRename"))
		if after, _ := outside(t, root); after != before {
			t.Errorf("%q, %q changed what is outside:\n%s\nto\n%s", p, target, before, after)
		}
		if _, err := os.Stat(filepath.Join(root, "etc/passwd")); err != nil {
			t.Error(err)
		}
	})
}
