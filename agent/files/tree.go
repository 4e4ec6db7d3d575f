package files

import (
	"cmp"
	"hash/fnv"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/agent/openat2"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// tree is what clients see: mounts, and the folders that lead to them.
type tree struct {
	mounts []*mount // those with the longest paths first
	// folders are the names in each folder above the mounts. A name has the target of a
	// symbolic link if it stands for one.
	folders map[string]map[string]string
}

// mount is one volume.
type mount struct {
	path     string
	fd       int // for openat2, and for nothing else (O_PATH)
	file     bool
	readOnly bool
}

// place is what a path of the tree means: a file in a mount, or one of the folders above.
type place struct {
	path string
	m    *mount
	rel  string // below m; "." is m itself
}

// newTree opens the mounts below root. It leaves out those that the container's process
// cannot reach.
func newTree(root *os.File, mounts []volume.Mount, readOnly bool, log *slog.Logger) *tree {
	t := &tree{folders: map[string]map[string]string{"/": {}}}
	for _, v := range mounts {
		p := path.Clean("/" + v.Path)
		if slices.ContainsFunc(t.mounts, func(m *mount) bool { return m.path == p }) {
			continue
		}
		fd, err := openat2.Open(int(root.Fd()), "."+p, unix.O_PATH, 0, openat2.InRoot)
		var a volume.Attr
		if err == nil {
			if a, _, err = statx(fd, ""); err != nil {
				unix.Close(fd)
			}
		}
		if err != nil {
			log.Warn("a volume is not served", "path", p, "error", err)
			continue
		}
		t.mounts = append(t.mounts, &mount{path: p, fd: fd, file: !a.Is(volume.TypeDir), readOnly: readOnly || v.ReadOnly})
		t.lead(p)
	}
	slices.SortFunc(t.mounts, func(a, b *mount) int { return cmp.Compare(len(b.path), len(a.path)) })
	t.aliasRun(root)
	return t
}

// lead makes the folders that lead to p.
func (t *tree) lead(p string) {
	for dir := path.Dir(p); p != "/"; p, dir = dir, path.Dir(dir) {
		if t.folders[dir] == nil {
			t.folders[dir] = map[string]string{}
		}
		t.folders[dir][path.Base(p)] = ""
	}
}

// aliasRun adds /var/run, which is a link to /run in most images. The container runtime
// follows it when it mounts the volumes, so the kernel names them with /run alone; programs
// open /var/run/secrets.
func (t *tree) aliasRun(root *os.File) {
	if _, ok := t.folders["/run"]; !ok || t.folders["/var"]["run"] != "" || t.find("/var/run").m != nil {
		return
	}
	if _, ok := t.folders["/var/run"]; ok {
		return
	}
	if target, err := readlink(int(root.Fd()), "var/run"); err == nil && path.Join("/var", target) == "/run" || target == "/run" {
		t.lead("/var/run")
		t.folders["/var"]["run"] = "../run"
	}
}

func (t *tree) close() {
	for _, m := range t.mounts {
		unix.Close(m.fd)
	}
}

// find returns the place of a path. The path may be anything.
func (t *tree) find(p string) place {
	p = path.Clean("/" + p)
	for _, m := range t.mounts {
		if p == m.path {
			return place{p, m, "."}
		}
		if within(p, m.path) {
			return place{p, m, strings.TrimPrefix(p[len(m.path):], "/")}
		}
	}
	return place{path: p}
}

// served says that a path is in a mount.
func (t *tree) served(p string) bool { return t.find(p).m != nil }

// link returns the target of a folder's name that stands for a symbolic link.
func (t *tree) link(p place) string { return t.folders[path.Dir(p.path)][path.Base(p.path)] }

// folderAttr returns the attributes of a folder above the mounts.
func (t *tree) folderAttr(p place) (volume.Attr, error) {
	a := volume.Attr{Mode: volume.TypeDir | 0o555, Nlink: 2}
	if t.link(p) != "" {
		a = volume.Attr{Mode: volume.TypeLink | 0o777, Nlink: 1, Size: uint64(len(t.link(p)))}
	} else if t.folders[p.path] == nil {
		return a, unix.ENOENT
	}
	sum := fnv.New64a()
	sum.Write([]byte(p.path))
	a.Ino = sum.Sum64()
	return a, nil
}
