//go:build linux

package fusefs

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

const (
	// chunk is the size of the parts in which a file is read ahead.
	chunk = 1 << 20
	// maxAhead is how many of them are read ahead of a program that reads on and on.
	maxAhead = 16
	// near is how far from where it was expected a read may be to count as the next one:
	// the kernel asks for several parts at the same time.
	near = 1 << 20
)

// large is a file that is open for reading, and is read in parts.
type large struct {
	n   *node
	f   *remote.File
	ino uint64 // of the file that was opened

	mu     sync.Mutex
	attr   volume.Attr // of which the chunks are
	next   int64       // where the next read is expected
	ahead  int         // how many chunks to read ahead; 0 if the program jumps
	chunks map[int64]*part
}

// part is a chunk that is there or on its way.
type part struct {
	done chan struct{}
	data []byte
	err  error
}

func newLarge(n *node, f *remote.File, a volume.Attr) *large {
	return &large{n: n, f: f, ino: a.Ino, attr: a, chunks: map[int64]*part{}}
}

// Read returns a part of the file.
func (l *large) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	parts := l.plan(off, int64(len(dest)))
	if parts == nil {
		k, err := readFull(ctx, l.f, dest, off)
		return fuse.ReadResultData(dest[:k]), errno(err)
	}
	k := 0
	for i, p := range parts {
		if e := await(ctx, p.done); e != 0 {
			return nil, e
		}
		if p.err != nil {
			return nil, errno(p.err)
		}
		from := off + int64(k) - (off/chunk+int64(i))*chunk
		if from >= int64(len(p.data)) {
			break
		}
		k += copy(dest[k:], p.data[from:])
	}
	return fuse.ReadResultData(dest[:k]), 0
}

// plan returns the chunks that a read needs, and has those behind them read ahead. It returns
// nil for a program that jumps about in the file: then more than it wants would be read.
func (l *large) plan(off, length int64) []*part {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.follow()
	first, last := off/chunk, (off+length-1)/chunk
	if jump := off - l.next; jump < -near || jump > near {
		l.ahead = 0
		l.next = off + length
		if l.chunks[first] == nil || l.chunks[last] == nil {
			return nil
		}
	} else if end := off + length; end > l.next {
		if l.next/chunk != end/chunk || l.ahead == 0 {
			l.ahead = min(max(1, 2*l.ahead), maxAhead)
		}
		l.next = end
	}
	var parts []*part
	for i := first; i <= last; i++ {
		parts = append(parts, l.start(i))
	}
	for i := last + 1; i <= last+int64(l.ahead); i++ {
		l.start(i)
	}
	for i := range l.chunks {
		if i < first-2 || i > last+2*maxAhead {
			delete(l.chunks, i)
		}
	}
	return parts
}

// follow drops the chunks of a file that the pod has changed. The caller has the lock.
func (l *large) follow() {
	l.n.mu.Lock()
	now := l.n.attr
	l.n.mu.Unlock()
	if now.Ino == l.ino && !now.Same(&l.attr) {
		l.attr = now
		clear(l.chunks)
	}
}

// start returns a chunk, and asks for it if nobody has. The caller has the lock.
func (l *large) start(i int64) *part {
	if p := l.chunks[i]; p != nil {
		return p
	}
	p := &part{done: make(chan struct{})}
	l.chunks[i] = p
	if i*chunk >= int64(l.attr.Size) && i > 0 {
		// Behind the end. When the file grows, follow learns of it.
		delete(l.chunks, i)
		close(p.done)
		return p
	}
	go func() {
		defer close(p.done)
		if p.data, p.err = l.fetch(i * chunk); p.err != nil {
			l.mu.Lock()
			if l.chunks[i] == p {
				delete(l.chunks, i) // the next read tries again
			}
			l.mu.Unlock()
		}
	}()
	return p
}

// fetch reads a chunk by the file's path, on whatever stream is idle. If another file has the
// path by now, it reads the one that was opened.
func (l *large) fetch(off int64) ([]byte, error) {
	ctx := context.Background()
	if p := l.n.path(); p != "" {
		rec, err := l.n.t.c.Range(ctx, p, off, chunk)
		if err == nil && rec.Attr.Ino == l.ino {
			return rec.Data, nil
		}
		var answered *remote.Error
		if err != nil && !errors.As(err, &answered) {
			return nil, err
		}
	}
	b := make([]byte, chunk)
	k, err := readFull(ctx, l.f, b, off)
	return b[:k], err
}

// Release closes the file.
func (l *large) Release(context.Context) syscall.Errno {
	go l.f.Close()
	return 0
}

// readFull reads as far as the file has bytes.
func readFull(ctx context.Context, f *remote.File, b []byte, off int64) (int, error) {
	n, err := f.ReadAt(ctx, b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
