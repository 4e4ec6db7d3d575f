//go:build linux

package fusefs

import (
	"context"
	"path"
	"syscall"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// sweep is how far small files of a folder were read ahead.
type sweep struct {
	last   string // the file that was opened last
	until  string // the last file that was asked for
	half   string // behind this file, more is asked for
	window int
	coming chan struct{} // closed when what was asked for last is there
}

const (
	// small is up to which size a file is read as a whole.
	small = 64 << 10
	// firstWindow and lastWindow are how many files are read at once, at first and when a
	// program goes through a folder.
	firstWindow, lastWindow = 16, 2048
	// firstBytes and lastBytes bound them by size.
	firstBytes, lastBytes = 256 << 10, 4 << 20
)

// content returns what is in a small file of the folder n, with the attributes of that version,
// and has the files behind it read ahead. A has what is known of the file's attributes.
func (n *node) content(ctx context.Context, name string, a *volume.Attr) ([]byte, volume.Attr, syscall.Errno) {
	p := path.Join(n.path(), name)
	for {
		n.mu.Lock()
		coming := n.sweep.coming
		ahead := coming == nil && n.sweep.half != "" && name >= n.sweep.half && name <= n.sweep.until
		sequential := name > n.sweep.last
		n.sweep.last = name
		n.mu.Unlock()
		if data, ok := n.t.store.get(p, a); ok {
			if ahead {
				n.more(context.WithoutCancel(ctx), lastBytes)
			}
			return data, *a, 0
		}
		if coming != nil && sequential {
			if e := await(ctx, coming); e != 0 {
				return nil, *a, e
			}
			continue
		}
		return n.first(ctx, p, name)
	}
}

// first reads a file, with those behind it.
func (n *node) first(ctx context.Context, p, name string) ([]byte, volume.Attr, syscall.Errno) {
	n.mu.Lock()
	grow := n.sweep.until != "" && name > n.sweep.until
	n.sweep.window = firstWindow
	if grow {
		n.sweep.window = 8 * firstWindow
	}
	n.sweep.until, n.sweep.half = name, ""
	behind := n.next(firstBytes)
	n.mu.Unlock()
	paths := []string{p}
	for _, rec := range behind {
		paths = append(paths, path.Join(n.path(), rec.Name))
	}
	read, err := n.t.c.Get(ctx, paths, small)
	if err != nil {
		return nil, volume.Attr{}, gone(err)
	}
	n.keep(read)
	if grow {
		n.more(context.WithoutCancel(ctx), lastBytes)
	}
	switch rec := read[0]; {
	case rec.Errno == uint32(syscall.ENOENT):
		return nil, rec.Attr, syscall.ESTALE
	case rec.Errno != 0:
		return nil, rec.Attr, syscall.Errno(rec.Errno)
	case !rec.Whole:
		return nil, rec.Attr, syscall.EAGAIN // it changes, or is large by now: the caller opens it
	default:
		return rec.Data, rec.Attr, 0
	}
}

// more asks for the files behind those that were asked for, in the background.
func (n *node) more(ctx context.Context, bytes uint64) {
	n.mu.Lock()
	if n.sweep.coming != nil {
		n.mu.Unlock()
		return
	}
	n.sweep.window = min(2*n.sweep.window, lastWindow)
	behind := n.next(bytes)
	if len(behind) == 0 {
		n.mu.Unlock()
		return
	}
	n.sweep.half = behind[len(behind)/2].Name
	done := make(chan struct{})
	n.sweep.coming = done
	n.mu.Unlock()
	go func() {
		defer close(done)
		var paths []string
		for _, rec := range behind {
			paths = append(paths, path.Join(n.path(), rec.Name))
		}
		// If it fails, the files are read when they are opened.
		if read, err := n.t.c.Get(ctx, paths, small); err == nil {
			n.keep(read)
		}
		n.mu.Lock()
		n.sweep.coming = nil
		n.mu.Unlock()
	}()
}

// next takes the small files behind the last that was asked for, up to the window and a
// number of bytes. The caller has the lock.
func (n *node) next(bytes uint64) (behind []*volume.Record) {
	list := n.entries.list
	i, found := position(list, n.sweep.until)
	if found {
		i++
	}
	for size := uint64(0); i < len(list) && len(behind) < n.sweep.window; i++ {
		rec := list[i]
		if !rec.Attr.Is(volume.TypeRegular) || rec.Attr.Size > small {
			continue
		}
		if size += rec.Attr.Size; size > bytes {
			break
		}
		behind = append(behind, rec)
		n.sweep.until = rec.Name
	}
	return behind
}

func (n *node) keep(read []*volume.Record) {
	for _, rec := range read {
		if rec.Whole {
			n.t.store.put(rec.Name, rec.Attr, rec.Data)
		}
	}
}
