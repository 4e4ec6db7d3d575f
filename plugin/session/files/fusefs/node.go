//go:build linux

package fusefs

import (
	"context"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// node is a file or a folder.
type node struct {
	fs.Inode
	t *tree

	mu     sync.Mutex
	attr   volume.Attr
	read   time.Time    // when attr was true
	epoch  int          // how often this machine has changed the node
	cached *volume.Attr // which version of the content the kernel may have
	entries
	sweep
	writes writes
}

var (
	_ fs.NodeLookuper   = (*node)(nil)
	_ fs.NodeGetattrer  = (*node)(nil)
	_ fs.NodeAccesser   = (*node)(nil)
	_ fs.NodeReadlinker = (*node)(nil)
	_ fs.NodeReaddirer  = (*node)(nil)
	_ fs.NodeStatfser   = (*node)(nil)
)

// path is where the node is in the pod's tree. It is empty if the node was removed.
func (n *node) path() string {
	p := n.Path(nil)
	if strings.HasPrefix(p, ".go-fuse") {
		return ""
	}
	return "/" + p
}

// know remembers attributes that are true now.
func (n *node) know(a volume.Attr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attr, n.read = a, time.Now()
}

// forget makes the next question go to the pod, since this machine has changed the node. What
// is being asked for now is not believed either.
func (n *node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.epoch++
	n.read = time.Time{}
	n.entries.at, n.entries.ours = time.Time{}, time.Now()
}

// attributes returns what is known, or asks.
func (n *node) attributes(ctx context.Context) (volume.Attr, syscall.Errno) {
	p := n.path()
	n.mu.Lock()
	a, known := n.attr, time.Since(n.read) < fresh
	n.mu.Unlock()
	if known || p == "" {
		return a, 0
	}
	n.writes.wait()
	n.mu.Lock()
	epoch := n.epoch
	n.mu.Unlock()
	a, err := n.t.c.Lstat(ctx, p)
	if err != nil {
		return a, gone(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.epoch == epoch {
		n.attr, n.read = a, time.Now()
	}
	return a, 0
}

// Getattr returns the attributes of the node.
func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	a, e := n.attributes(ctx)
	if e == 0 {
		n.t.fill(&a, &out.Attr)
	}
	return e
}

// Access says what the container's process may do with the file.
func (n *node) Access(ctx context.Context, mask uint32) syscall.Errno {
	a, e := n.attributes(ctx)
	switch {
	case e != 0:
		return e
	case mask&2 != 0 && n.t.readOnly:
		return syscall.EROFS
	case !n.t.may(&a, mask):
		return syscall.EACCES
	}
	return 0
}

// Readlink asks each time: a link that Kubernetes has made leads elsewhere at any moment.
func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	target, err := n.t.c.Readlink(ctx, n.path())
	return []byte(target), gone(err)
}

// Statfs says how much room the volume has.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	p := n.path()
	if p == "/" && len(n.t.own.Mounts) > 0 {
		p = n.t.own.Mounts[0].Path
	}
	s, err := n.t.c.StatVFS(ctx, p)
	if err != nil {
		*out = fuse.StatfsOut{Bsize: 4096, NameLen: 255}
		return 0 // a folder above the volumes
	}
	*out = fuse.StatfsOut{Blocks: s.Blocks, Bfree: s.Bfree, Bavail: s.Bavail, Files: s.Files, Ffree: s.Ffree, Bsize: uint32(s.Bsize), Frsize: uint32(s.Frsize), NameLen: uint32(s.Namemax)}
	return 0
}

// Lookup returns the node for a name in the folder.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	rec, known, e := n.entry(ctx, name)
	if e != 0 {
		return nil, e
	}
	child := n.child(name)
	if child != nil && child.writes.busy() {
		known = false
	}
	var a volume.Attr
	if known {
		a = rec.Attr
	} else {
		if child != nil {
			child.writes.wait()
		}
		var err error
		if a, err = n.t.c.Lstat(ctx, path.Join(n.path(), name)); err != nil {
			return nil, errno(err)
		}
	}
	return n.adopt(ctx, name, a, out), 0
}

// child returns the node that the kernel knows by this name, or nil.
func (n *node) child(name string) *node {
	if ch := n.GetChild(name); ch != nil {
		return ch.Operations().(*node)
	}
	return nil
}

// adopt returns the node for a name: the one that is there, if the file is of the same type.
func (n *node) adopt(ctx context.Context, name string, a volume.Attr, out *fuse.EntryOut) *fs.Inode {
	n.t.fill(&a, &out.Attr)
	if ch := n.child(name); ch != nil && ch.StableAttr().Mode == a.Mode&syscall.S_IFMT {
		ch.know(a)
		return ch.EmbeddedInode()
	}
	ch := &node{t: n.t}
	ch.know(a)
	return n.NewInode(ctx, ch, fs.StableAttr{Mode: a.Mode & syscall.S_IFMT})
}
