package remote

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// line is a stream of the bulk protocol. One request is on it at a time.
type line struct {
	stream *guarded
	r      *bufio.Reader
	bad    bool
}

func (l *line) Close() error { return l.stream.Close() }
func (l *line) broken() bool { return l.bad }

func (c *Client) openBulk(ctx context.Context) (opened, error) {
	g, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := g.Write([]byte{volume.Bulk}); err != nil {
		g.Close()
		return nil, err
	}
	return &line{stream: g, r: bufio.NewReaderSize(g, 256<<10)}, nil
}

// ask sends a request and gives each record of the answer to each. If the stream breaks, all
// is done again: each then gets the records from the first on, after a call of begin.
func (c *Client) ask(ctx context.Context, q volume.Request, begin func(), each func(*volume.Record) error) error {
	ctx, cancel := Patient(ctx)
	defer cancel()
	for retry := (repeat{c: c}); ; {
		slot, done := idlest(c.bulk)
		stream, err := c.take(ctx, slot, c.openBulk)
		if err != nil {
			done()
			return err
		}
		l, ok := stream.(*line)
		if !ok {
			slot.release()
			done()
			return ErrUnavailable
		}
		begin()
		err, stop := l.ask(ctx, q, each)
		slot.release()
		done()
		if err == nil || stop {
			return err
		}
		if !retry.again(ctx) {
			return cmp.Or(ctx.Err(), err)
		}
	}
}

// ask says stop if the error is not the stream's.
func (l *line) ask(ctx context.Context, q volume.Request, each func(*volume.Record) error) (err error, stop bool) {
	defer func() { l.bad = err != nil }()
	interrupt := context.AfterFunc(ctx, func() { l.stream.Close() })
	defer interrupt()
	finish := l.stream.watch()
	defer finish()
	if err := volume.WriteRequest(l.stream, q); err != nil {
		return err, false
	}
	for {
		rec, err := volume.ReadRecord(l.r)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, false
		}
		if err != nil {
			return err, false
		}
		if len(rec.Data) > 0 && q.Kind != volume.Hello && rec.Sum != volume.Checksum(rec.Data) {
			return fmt.Errorf("%s: what arrived is not what the agent has sent", rec.Name), false
		}
		if err := each(rec); err != nil {
			return err, true
		}
	}
}

// collect returns all records of an answer.
func (c *Client) collect(ctx context.Context, q volume.Request) (all []*volume.Record, err error) {
	err = c.ask(ctx, q, func() { all = nil }, func(rec *volume.Record) error {
		all = append(all, rec)
		return nil
	})
	return all, err
}

// Tree says what the agent serves.
func (c *Client) Tree(ctx context.Context) (t volume.Tree, err error) {
	all, err := c.collect(ctx, volume.Request{Kind: volume.Hello})
	if err == nil && len(all) != 1 {
		err = volume.ErrMalformed
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(all[0].Data, &t)
}

// List returns the entries of a folder. Where a symbolic link leads is Link, which is empty if
// that is out of what is served.
func (c *Client) List(ctx context.Context, dir string) ([]*volume.Record, error) {
	all, err := c.collect(ctx, volume.Request{Kind: volume.List, Paths: []string{dir}})
	if err == nil && len(all) == 1 && all[0].Name == "" {
		return nil, &Error{all[0].Errno, dir}
	}
	return all, err
}

// Walk returns the entries of a folder and of all below it. Their names are paths from there.
// The record of a folder that cannot be read comes twice, the second time with an Errno.
func (c *Client) Walk(ctx context.Context, dir string) ([]*volume.Record, error) {
	return c.collect(ctx, volume.Request{Kind: volume.List, Length: 1, Paths: []string{dir}})
}

// Get returns the files with these paths, in their order, with what is in those of at most
// limit bytes.
func (c *Client) Get(ctx context.Context, paths []string, limit int) ([]*volume.Record, error) {
	all, err := c.collect(ctx, volume.Request{Kind: volume.Get, Length: uint64(limit), Paths: paths})
	if err == nil && len(all) != len(paths) {
		err = volume.ErrMalformed
	}
	return all, err
}

// Range returns a part of a file, of at most volume.MaxData bytes. It is shorter at the end of
// the file.
func (c *Client) Range(ctx context.Context, p string, off int64, length int) (*volume.Record, error) {
	all, err := c.collect(ctx, volume.Request{Kind: volume.Range, Offset: uint64(off), Length: uint64(length), Paths: []string{p}})
	switch {
	case err != nil:
		return nil, err
	case len(all) != 1 || len(all[0].Data) > length:
		return nil, volume.ErrMalformed
	case all[0].Errno != 0:
		return nil, &Error{all[0].Errno, p}
	}
	return all[0], nil
}
