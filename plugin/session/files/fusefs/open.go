//go:build linux

package fusefs

import (
	"context"
	"os"
	"path"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

var (
	_ fs.NodeOpener  = (*node)(nil)
	_ fs.NodeCreater = (*node)(nil)
)

// Open opens the file. The kernel keeps what it has of the content if that is still the
// same.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&(syscall.O_TRUNC|syscall.O_APPEND) != 0 {
		return n.openForWriting(ctx, flags)
	}
	n.writes.wait()
	a, e := n.attributes(ctx)
	if e != 0 {
		return nil, 0, e
	}
	if name, parent := n.Parent(); a.Size <= small && a.Is(volume.TypeRegular) && parent != nil {
		data, is, e := parent.Operations().(*node).content(ctx, name, &a)
		switch {
		case e == 0 && is.Same(&a):
			return &whole{data}, n.keeps(&a) | fuse.FOPEN_NOFLUSH, 0
		case e == 0:
			// The kernel believes in the size that it knows, unless it keeps nothing.
			n.know(is)
			return &whole{data}, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
		case e != syscall.EAGAIN:
			return nil, 0, e
		}
	}
	f, err := n.t.c.Open(ctx, n.path(), os.O_RDONLY)
	if err != nil {
		return nil, 0, gone(err)
	}
	return newLarge(n, f, a), n.keeps(&a) | fuse.FOPEN_NOFLUSH, 0
}

// keeps says whether the kernel may use what it has of the content, and remembers that it now
// gets the one with these attributes.
func (n *node) keeps(a *volume.Attr) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	same := n.cached != nil && n.cached.Same(a)
	n.cached = a
	if same {
		return fuse.FOPEN_KEEP_CACHE
	}
	return 0
}

func (n *node) openForWriting(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if n.t.readOnly {
		return nil, 0, syscall.EROFS
	}
	f, err := n.t.c.Open(ctx, n.path(), goFlags(flags))
	if err != nil {
		return nil, 0, gone(err)
	}
	n.changed()
	return &writable{n: n, f: f, append: flags&syscall.O_APPEND != 0}, 0, 0
}

// goFlags are the flags that matter to the pod.
func goFlags(flags uint32) int {
	return int(flags) & (syscall.O_ACCMODE | syscall.O_TRUNC | syscall.O_APPEND | syscall.O_EXCL | syscall.O_CREAT)
}

// changed forgets what is known of the node: this machine changes it.
func (n *node) changed() {
	n.mu.Lock()
	n.cached = nil
	n.mu.Unlock()
	n.forget()
	if _, parent := n.Parent(); parent != nil {
		parent.Operations().(*node).forget()
	}
}

// Create makes a file and opens it.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if n.t.readOnly {
		return nil, nil, 0, syscall.EROFS
	}
	p := path.Join(n.path(), name)
	f, err := n.t.c.Open(ctx, p, goFlags(flags)|os.O_CREATE)
	if err != nil {
		return nil, nil, 0, errno(err)
	}
	a, err := n.made(ctx, p, mode)
	if err != nil {
		f.Close()
		return nil, nil, 0, errno(err)
	}
	ino := n.adopt(ctx, name, a, out)
	return ino, &writable{n: ino.Operations().(*node), f: f, append: flags&syscall.O_APPEND != 0}, 0, 0
}

// whole is an open small file, as it was when it was opened.
type whole struct{ data []byte }

// Read returns a part of the file.
func (w *whole) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= int64(len(w.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(w.data[off:min(int64(len(w.data)), off+int64(len(dest)))]), 0
}

// writable is a file that is open for writing.
type writable struct {
	n      *node
	f      *remote.File
	append bool
}

// Read waits for what was written.
func (w *writable) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	w.n.writes.wait()
	k, err := readFull(ctx, w.f, dest, off)
	return fuse.ReadResultData(dest[:k]), errno(err)
}

// Write sends data on its way. What is appended arrives before Write returns: it goes to the
// end, so its order matters.
func (w *writable) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	// An interrupted program has still written.
	ctx := context.Background()
	w.n.changed()
	if w.append {
		_, err := w.f.WriteAt(ctx, data, off)
		w.n.changed()
		return uint32(len(data)), errno(err)
	}
	for from := 0; from < len(data); from += volume.MaxPacket {
		part := append([]byte(nil), data[from:min(len(data), from+volume.MaxPacket)]...)
		s := span{off + int64(from), off + int64(from+len(part))}
		if e := w.n.writes.begin(s); e != 0 {
			return 0, e
		}
		go func() {
			_, err := w.f.WriteAt(ctx, part, s.from)
			w.n.changed() // what was asked for meanwhile has a part of it
			w.n.writes.end(s, errno(err))
		}()
	}
	return uint32(len(data)), 0
}

// Flush is called when a program closes the file. It reports what went wrong.
func (w *writable) Flush(context.Context) syscall.Errno {
	e := w.n.writes.flush()
	w.n.changed()
	return e
}

// Fsync returns when the pod's disk has what was written.
func (w *writable) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	if e := w.n.writes.flush(); e != 0 {
		return e
	}
	return errno(w.n.sync(ctx))
}

// Release closes the file.
func (w *writable) Release(context.Context) syscall.Errno {
	w.n.writes.wait()
	go w.f.Close()
	return 0
}
