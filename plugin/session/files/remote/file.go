package remote

import (
	"context"
	"os"
	"sync"

	"github.com/pkg/sftp"
)

// File is an open file in the pod. When its stream breaks, it is opened again by its path.
type File struct {
	c     *Client
	path  string
	flags int

	mu sync.Mutex
	s  *session
	f  *sftp.File
}

// Open opens a file. Flags are those of os.OpenFile; a new file is its owner's alone.
func (c *Client) Open(ctx context.Context, p string, flags int) (*File, error) {
	f := &File{c: c, path: p, flags: flags}
	// Opening a file twice does no harm, unless it must not be there the first time.
	err := c.call(ctx, p, flags&os.O_EXCL == 0, func(s *session) (err error) {
		f.s = s
		f.f, err = s.OpenFile(p, flags)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.flags &^= os.O_CREATE | os.O_EXCL | os.O_TRUNC
	return f, nil
}

// on runs f with the open file, and opens it again before if its stream is broken. F runs
// again if it may be repeated.
func (f *File) on(ctx context.Context, repeatable bool, do func(*sftp.File) error) error {
	ctx, cancel := Patient(ctx)
	defer cancel()
	for retry := (repeat{c: f.c}); ; {
		s, open, err := f.current(ctx)
		if err != nil {
			return err
		}
		finish := s.stream.watch()
		err, lost := understand(f.path, do(open))
		finish()
		if !lost {
			return err
		}
		s.Close()
		<-s.gone
		if !repeatable || !retry.again(ctx) {
			return err
		}
	}
}

func (f *File) current(ctx context.Context) (*session, *sftp.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.s.broken() {
		return f.s, f.f, nil
	}
	err := f.c.patiently(ctx, f.path, true, func(s *session) error {
		open, err := s.OpenFile(f.path, f.flags)
		if err == nil {
			f.s, f.f = s, open
		}
		return err
	})
	return f.s, f.f, err
}

// ReadAt reads as io.ReaderAt does.
func (f *File) ReadAt(ctx context.Context, b []byte, off int64) (n int, err error) {
	err = f.on(ctx, true, func(open *sftp.File) (err error) {
		n, err = open.ReadAt(b, off)
		return err
	})
	return n, err
}

// WriteAt writes as io.WriterAt does. If the file is open for appending, what is written goes
// to its end.
func (f *File) WriteAt(ctx context.Context, b []byte, off int64) (n int, err error) {
	err = f.on(ctx, f.flags&os.O_APPEND == 0, func(open *sftp.File) (err error) {
		n, err = open.WriteAt(b, off)
		return err
	})
	return n, err
}

// Close closes the file. What was written has arrived before, so there is no error that
// matters.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.s.broken() {
		_ = f.f.Close()
	}
}
