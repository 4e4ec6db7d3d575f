//go:build linux

package fusefs

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// entries is the list of a folder, as it was at a moment.
type entries struct {
	list    []*volume.Record // by name
	at      time.Time
	valid   time.Duration // for how long from then on
	ours    time.Time     // when this machine changed the folder
	asked   time.Time     // when a program listed the folder
	missed  int           // names that were looked up since the list became old
	loading chan struct{}
}

const (
	// swept is for how long a folder that a program has listed is listed again, instead of
	// asking for its names one after the other.
	swept = 30 * time.Second
	// enough is after how many names of an old list the folder is listed again.
	enough = 2
	// quiet is for how long this machine must not have changed the folder: whoever makes a
	// thousand files would have it listed a thousand times.
	quiet = 5 * time.Second
	// tooMany entries are not listed again for a few names.
	tooMany = 50_000
)

// Readdir lists the folder.
func (n *node) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	n.mu.Lock()
	n.entries.asked = time.Now()
	n.mu.Unlock()
	list, e := n.load(ctx)
	if e != 0 {
		return nil, e
	}
	all := make([]fuse.DirEntry, 0, len(list))
	for _, rec := range list {
		all = append(all, fuse.DirEntry{Name: rec.Name, Mode: rec.Attr.Mode & syscall.S_IFMT})
	}
	return fs.NewListDirStream(all), 0
}

// load returns the list of the folder, and asks for it unless it is fresh. Of several callers
// one asks.
func (n *node) load(ctx context.Context) ([]*volume.Record, syscall.Errno) {
	for {
		n.mu.Lock()
		if time.Since(n.entries.at) < n.entries.valid {
			defer n.mu.Unlock()
			return n.entries.list, 0
		}
		if wait := n.entries.loading; wait != nil {
			n.mu.Unlock()
			if e := await(ctx, wait); e != 0 {
				return nil, e
			}
			continue
		}
		done := make(chan struct{})
		n.entries.loading = done
		epoch := n.epoch
		n.mu.Unlock()

		begun := time.Now()
		list, err := n.t.c.List(ctx, n.path())
		list = slices.DeleteFunc(list, func(rec *volume.Record) bool { return rec.Errno != 0 || bad(rec.Name) })
		slices.SortFunc(list, func(a, b *volume.Record) int { return strings.Compare(a.Name, b.Name) })
		n.mu.Lock()
		n.entries.loading = nil
		if err == nil {
			// What takes long is not asked for all the time.
			n.entries.list, n.entries.at, n.entries.missed = list, time.Now(), 0
			n.entries.valid = min(max(fresh, 2*time.Since(begun)), 10*fresh)
			if n.epoch != epoch {
				n.entries.at = time.Time{}
			}
		}
		n.mu.Unlock()
		close(done)
		return list, gone(err)
	}
}

// bad says that a name cannot be one of a file. The kernel would not take it.
func bad(name string) bool {
	return name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00")
}

// entry returns what the list of the folder says of a name. It is not known if there is no
// fresh list, and to get one would take longer than to ask for the name.
func (n *node) entry(ctx context.Context, name string) (rec *volume.Record, known bool, e syscall.Errno) {
	n.mu.Lock()
	list, ok := n.entries.list, time.Since(n.entries.at) < n.entries.valid
	if !ok {
		n.entries.missed++
		again := time.Since(n.entries.asked) < swept && time.Since(n.entries.ours) > quiet && n.entries.missed > enough && len(list) < tooMany
		n.mu.Unlock()
		if !again {
			return nil, false, 0
		}
		if list, e = n.load(ctx); e != 0 {
			return nil, false, e
		}
	} else {
		n.mu.Unlock()
	}
	if i, found := position(list, name); found {
		return list[i], true, 0
	}
	return nil, true, syscall.ENOENT
}

func position(list []*volume.Record, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(rec *volume.Record, name string) int { return strings.Compare(rec.Name, name) })
}
