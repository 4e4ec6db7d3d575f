package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// look is how often a file is looked at that is followed.
const look = 250 * time.Millisecond

// File is the log in a file. If there is none, absent is the error.
func File(name, path, absent string) Source {
	return Source{Name: name, Write: func(ctx context.Context, w io.Writer, o Options) error {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New(absent)
		}
		if err != nil {
			return fmt.Errorf("read the log of %s: %w", name, err)
		}
		defer func() { f.Close() }()
		if err := recent(w, f, o); err != nil || !o.Follow {
			return err
		}
		ticker := time.NewTicker(look)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
			if _, err := io.Copy(w, f); err != nil {
				return err
			}
			next, err := successor(f, path)
			if err != nil {
				return err
			}
			if next != nil {
				_, err = io.Copy(w, f) // what came before the change
				f.Close()
				f = next
			}
			if err != nil {
				return err
			}
		}
	}}
}

// successor opens the file that has taken f's place, as that of a new process does when
// the log has become large; nil if f still has its place. A file that was emptied is read
// from its beginning.
func successor(f *os.File, path string) (*os.File, error) {
	is, err := f.Stat()
	if err != nil {
		return nil, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // between the two
	}
	if err != nil {
		return nil, err
	}
	if !os.SameFile(is, now) {
		return os.Open(path)
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err == nil && at > now.Size() {
		_, err = f.Seek(0, io.SeekStart)
	}
	return nil, err
}
