package files

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"path"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// conversation is one stream of the bulk protocol.
type conversation struct {
	s      *Server
	r      *bufio.Reader
	w      *bufio.Writer
	buffer []byte
}

// batch is how many bytes of files are read before they are written to the stream. While
// they are read, a thread of the identity is taken.
const batch = 1 << 20

func (s *Server) serveBulk(r *bufio.Reader, w io.Writer) error {
	c := &conversation{s: s, r: r, w: bufio.NewWriterSize(w, 256<<10)}
	for {
		q, err := volume.ReadRequest(c.r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = c.answer(q)
		}
		if err == nil {
			err = volume.EndRecords(c.w)
		}
		if err != nil {
			return err
		}
	}
}

func (c *conversation) answer(q volume.Request) error {
	switch {
	case q.Kind == volume.Hello:
		text, err := json.Marshal(c.s.Tree())
		if err != nil {
			return err
		}
		return volume.WriteRecord(c.w, &volume.Record{Data: text})
	case q.Kind == volume.Get:
		return c.get(q.Paths, min(q.Length, volume.MaxData))
	case len(q.Paths) != 1:
		return volume.ErrMalformed
	case q.Kind == volume.List:
		return c.list(path.Clean("/"+q.Paths[0]), "", q.Length == 1)
	case q.Kind == volume.Range && q.Length <= volume.MaxData && q.Offset < 1<<62:
		return c.part(q.Paths[0], int64(q.Offset), int(q.Length))
	}
	return volume.ErrMalformed
}

// list writes the entries of a folder, and those below it.
func (c *conversation) list(root, below string, recursive bool) error {
	var all []*volume.Record
	err := c.s.threads.do(func() (err error) {
		all, err = c.s.list(c.s.tree.find(path.Join(root, below)))
		return err
	})
	if err != nil {
		return volume.WriteRecord(c.w, &volume.Record{Name: below, Errno: uint32(number(err))})
	}
	for _, rec := range all {
		name := path.Join(below, rec.Name)
		rec.Name = name
		if err := volume.WriteRecord(c.w, rec); err != nil {
			return err
		}
		if recursive && rec.Attr.Is(volume.TypeDir) {
			if err := c.list(root, name, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// get writes the files, with what is in those that are not larger than limit.
func (c *conversation) get(paths []string, limit uint64) error {
	for len(paths) > 0 {
		var read []*volume.Record
		err := c.s.threads.do(func() error {
			for size := 0; len(paths) > 0 && size < batch; paths = paths[1:] {
				rec := c.small(paths[0], limit)
				size += len(rec.Data)
				read = append(read, rec)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, rec := range read {
			if err := volume.WriteRecord(c.w, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// small reads a file if it is not larger than limit.
func (c *conversation) small(p string, limit uint64) *volume.Record {
	at := c.s.tree.find(p)
	fd, a, err := at.regular(unix.O_RDONLY | unix.O_NOFOLLOW)
	if err != nil {
		return &volume.Record{Name: p, Errno: uint32(number(err))}
	}
	defer unix.Close(fd)
	rec := &volume.Record{Name: p, Attr: a}
	if a.Size > limit {
		return rec
	}
	// One byte more shows that the file has grown.
	b := make([]byte, a.Size+1)
	n, err := pread(fd, b, 0)
	if err != nil {
		return &volume.Record{Name: p, Errno: uint32(number(err))}
	}
	now, _, err := statx(fd, "")
	if rec.Whole = err == nil && now.Same(&a) && uint64(n) == a.Size; rec.Whole {
		rec.Data, rec.Sum = b[:n], volume.Checksum(b[:n])
	}
	return rec
}

// part writes a part of a file.
func (c *conversation) part(p string, off int64, length int) error {
	rec := &volume.Record{Name: p}
	fd := -1
	err := c.s.threads.do(func() (err error) {
		fd, rec.Attr, err = c.s.tree.find(p).regular(unix.O_RDONLY | unix.O_NOFOLLOW)
		return err
	})
	if err == nil {
		defer unix.Close(fd)
		if cap(c.buffer) < length {
			c.buffer = make([]byte, length)
		}
		n := 0
		n, err = pread(fd, c.buffer[:length], off)
		rec.Data, rec.Sum = c.buffer[:n], volume.Checksum(c.buffer[:n])
	}
	if err != nil {
		rec = &volume.Record{Name: p, Errno: uint32(number(err))}
	}
	return volume.WriteRecord(c.w, rec)
}
