package copies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

// Options say what to copy.
type Options struct {
	// Limit is how many bytes are copied at most; 0 is DefaultLimit. The largest files are
	// left out first.
	Limit int64
	// ReadOnly takes the right to write from the copies.
	ReadOnly bool
}

// DefaultLimit is how many bytes are copied if nothing else was asked for.
const DefaultLimit = 1 << 30

// Result says what was copied, and what was not.
type Result struct {
	Files int
	Bytes int64
	Left  []Left
}

// Left is a file that was left out.
type Left struct {
	Path string
	Size int64
	Why  string
}

// job copies the tree into a folder.
type job struct {
	Options
	c    *remote.Client
	root *os.Root

	mu     sync.Mutex
	result Result
}

// Copy copies all files into the folder dir, which is there. What the pod does not let its
// own process read is left out, and so is what is no file, folder or symbolic link. The error
// is one of this machine, or that the pod cannot be reached.
func Copy(ctx context.Context, c *remote.Client, dir string, o Options) (Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, err
	}
	defer root.Close()
	all, err := c.Walk(ctx, "/")
	if err != nil {
		return Result{}, err
	}
	j := &job{Options: o, c: c, root: root}
	j.Limit = cmp.Or(o.Limit, DefaultLimit)
	err = j.run(ctx, all)
	slices.SortFunc(j.result.Left, func(a, b Left) int { return strings.Compare(a.Path, b.Path) })
	return j.result, err
}

func (j *job) run(ctx context.Context, all []*volume.Record) error {
	var folders, links, files []*volume.Record
	for _, rec := range all {
		switch {
		case rec.Errno != 0:
			j.leave(rec, words(rec.Errno))
		case !filepath.IsLocal(filepath.FromSlash(rec.Name)):
			j.leave(rec, "this machine cannot have such a name")
		case rec.Attr.Is(volume.TypeDir):
			folders = append(folders, rec)
		case rec.Attr.Is(volume.TypeLink):
			links = append(links, rec)
		case rec.Attr.Is(volume.TypeRegular):
			files = append(files, rec)
		default:
			j.leave(rec, "it is no file")
		}
	}
	// Parents come before what is in them.
	for _, rec := range folders {
		if err := j.root.MkdirAll(local(rec.Name), 0o700); err != nil {
			return err
		}
	}
	if err := j.files(ctx, j.bound(files)); err != nil {
		return err
	}
	if err := j.links(links); err != nil {
		return err
	}
	for _, rec := range slices.Backward(folders) {
		if err := j.finish(rec, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// bound leaves out the largest files, so that the others are within the limit.
func (j *job) bound(files []*volume.Record) []*volume.Record {
	slices.SortFunc(files, func(a, b *volume.Record) int {
		return cmp.Or(cmp.Compare(a.Attr.Size, b.Attr.Size), strings.Compare(a.Name, b.Name))
	})
	var sum uint64
	for i, rec := range files {
		if sum += rec.Attr.Size; sum > uint64(j.Limit) {
			for _, rec := range files[i:] {
				j.leave(rec, "it does not fit into "+Size(j.Limit))
			}
			return files[:i]
		}
	}
	return files
}

const (
	// small is up to which size a file is copied together with others.
	small = 1 << 20
	// batchFiles and batchBytes bound what is asked for at once.
	batchFiles, batchBytes = 512, 2 << 20
)

// files copies files, which are sorted by size, on all streams at the same time.
func (j *job) files(ctx context.Context, files []*volume.Record) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * remote.Streams)
	split, _ := slices.BinarySearchFunc(files, small+1, func(rec *volume.Record, size int) int { return cmp.Compare(rec.Attr.Size, uint64(size)) })
	for _, rec := range files[split:] {
		if err := j.large(ctx, g, rec); err != nil {
			return errors.Join(err, g.Wait())
		}
	}
	for rest := files[:split]; len(rest) > 0; {
		n, size := 0, uint64(0)
		for n < len(rest) && n < batchFiles && (n == 0 || size+rest[n].Attr.Size <= batchBytes) {
			size += rest[n].Attr.Size
			n++
		}
		batch := rest[:n]
		rest = rest[n:]
		g.Go(func() error { return j.batch(ctx, batch) })
	}
	return g.Wait()
}

func (j *job) batch(ctx context.Context, files []*volume.Record) error {
	w := &writer{j, map[string]*os.Root{}}
	defer w.close()
	for try := 0; len(files) > 0; try++ {
		paths := make([]string, len(files))
		for i, rec := range files {
			paths[i] = "/" + rec.Name
		}
		read, err := j.c.Get(ctx, paths, small)
		if err != nil {
			return err
		}
		var again []*volume.Record
		for i, got := range read {
			rec := files[i]
			rec.Attr = got.Attr
			switch {
			case got.Errno != 0:
				j.leave(rec, words(got.Errno))
			case !got.Whole && try < tries:
				again = append(again, rec)
			case !got.Whole:
				j.leave(rec, changes)
			default:
				if err := w.write(rec, got.Data); err != nil {
					return err
				}
			}
		}
		files = again
	}
	return nil
}

const (
	// tries is how often a file is copied again that changes meanwhile.
	tries   = 3
	changes = "it changes all the time"
)

// writer writes small files. It keeps their folders open, so that the path of each is short.
type writer struct {
	j       *job
	folders map[string]*os.Root
}

// maxFolders is how many folders a writer keeps open.
const maxFolders = 32

func (w *writer) close() {
	for _, dir := range w.folders {
		dir.Close()
	}
	clear(w.folders)
}

func (w *writer) write(rec *volume.Record, data []byte) error {
	at, name := path.Split(rec.Name)
	dir := w.folders[at]
	if dir == nil {
		if len(w.folders) == maxFolders {
			w.close()
		}
		var err error
		if dir, err = w.j.root.OpenRoot(local(path.Join(".", at))); err != nil {
			return err
		}
		w.folders[at] = dir
	}
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(w.j.mode(rec, 0o600)), f.Close()); err != nil {
		return err
	}
	w.j.copied(int64(len(data)))
	mtime := time.Unix(0, rec.Attr.MtimeNS)
	return dir.Chtimes(name, mtime, mtime)
}

// finish gives a copy the mode and the time of the original. Its owner keeps the right to
// remove it.
func (j *job) finish(rec *volume.Record, own os.FileMode) error {
	name := local(rec.Name)
	at := time.Unix(0, rec.Attr.MtimeNS)
	if err := j.root.Chtimes(name, at, at); err != nil {
		return err
	}
	return j.root.Chmod(name, j.mode(rec, own))
}

func (j *job) mode(rec *volume.Record, own os.FileMode) os.FileMode {
	mode := os.FileMode(rec.Attr.Mode&0o777) | own
	if j.ReadOnly && !rec.Attr.Is(volume.TypeDir) {
		mode &^= 0o222
	}
	return mode
}

func (j *job) copied(bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.result.Files++
	j.result.Bytes += bytes
}

func (j *job) leave(rec *volume.Record, why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.result.Left = append(j.result.Left, Left{"/" + rec.Name, int64(rec.Attr.Size), why})
}

func local(name string) string { return filepath.FromSlash(name) }

func words(errno uint32) string {
	_, text, _ := strings.Cut((&remote.Error{Errno: errno}).Error(), ": ")
	return text
}

// Size says a number of bytes to people.
func Size(bytes int64) string {
	unit, n := "bytes", float64(bytes)
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n < 1024 {
			break
		}
		unit, n = next, n/1024
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + " " + unit
}
