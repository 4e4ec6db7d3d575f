package copies

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/files/remote"
)

// copying is a large file on its way, in parts. The client checks the sum of each part; that
// all parts are of one version of the file, their attributes say.
type copying struct {
	j     *job
	rec   *volume.Record
	file  *os.File
	try   int
	parts atomic.Int64 // that are missing
	stale atomic.Bool  // the file has changed
	why   atomic.Pointer[string]
}

// large copies a large file in the group g.
func (j *job) large(ctx context.Context, g *errgroup.Group, rec *volume.Record) error {
	f, err := j.root.OpenFile(local(rec.Name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	l := &copying{j: j, rec: rec, file: f}
	size := int64(rec.Attr.Size)
	count := (size + volume.MaxData - 1) / volume.MaxData
	l.parts.Store(count)
	for i := range count {
		off := i * volume.MaxData
		g.Go(func() error { return l.part(ctx, off, int(min(volume.MaxData, size-off))) })
	}
	return nil
}

// part copies a part. Whoever copies the last one finishes the file.
func (l *copying) part(ctx context.Context, off int64, length int) error {
	err := l.fetch(ctx, off, length)
	if l.parts.Add(-1) > 0 {
		return err
	}
	return errors.Join(err, l.end(ctx))
}

func (l *copying) fetch(ctx context.Context, off int64, length int) error {
	if l.stale.Load() || l.why.Load() != nil {
		return nil
	}
	rec, err := l.j.c.Range(ctx, "/"+l.rec.Name, off, length)
	var refused *remote.Error
	switch {
	case errors.As(err, &refused):
		why := words(refused.Errno)
		l.why.Store(&why)
		return nil
	case err != nil:
		return err
	case !rec.Attr.Same(&l.rec.Attr) || len(rec.Data) != length:
		l.stale.Store(true)
		return nil
	}
	_, err = l.file.WriteAt(rec.Data, off)
	return err
}

// end closes the file, and copies it again if it has changed.
func (l *copying) end(ctx context.Context) error {
	if err := l.file.Close(); err != nil {
		return err
	}
	if why := l.why.Load(); why != nil {
		return l.drop(*why)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The parts were read one after the other: a change of one behind the reader shows only
	// now.
	now, err := l.j.c.Lstat(ctx, "/"+l.rec.Name)
	if err == nil && now.Same(&l.rec.Attr) && !l.stale.Load() {
		l.j.copied(int64(now.Size))
		return l.j.finish(l.rec, 0o600)
	}
	var refused *remote.Error
	switch {
	case errors.As(err, &refused):
		return l.drop(words(refused.Errno))
	case err != nil:
		return err
	case l.try == tries || !now.Is(volume.TypeRegular) || now.Size > 2*l.rec.Attr.Size:
		return l.drop(changes)
	}
	return l.again(ctx, now)
}

// again copies the file once more, on this stream alone.
func (l *copying) again(ctx context.Context, now volume.Attr) error {
	f, err := l.j.root.OpenFile(local(l.rec.Name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	rec := *l.rec
	rec.Attr = now
	next := &copying{j: l.j, rec: &rec, file: f, try: l.try + 1}
	for off := int64(0); off < int64(now.Size); off += volume.MaxData {
		if err := next.fetch(ctx, off, int(min(volume.MaxData, int64(now.Size)-off))); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return next.end(ctx)
}

// drop leaves the file out.
func (l *copying) drop(why string) error {
	l.j.leave(l.rec, why)
	return l.j.root.Remove(local(l.rec.Name))
}
