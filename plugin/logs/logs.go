// Package logs reads the logs of the product's parts: of the session process and
// intercept-netd on this machine, of the traffic-manager and the agents in the cluster.
package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say how much of a log is read.
type Options struct {
	// Follow goes on with what is logged later, until the context ends.
	Follow bool
	// Tail is how many of the last lines are read, all if it is negative.
	Tail int64
	// Since leaves out what was logged earlier; the zero Time nothing.
	Since time.Time
	// Previous reads what the container's last instance logged, in pods.
	Previous bool
	// Ask lets sudo ask for a password where only root may read a log.
	Ask bool
}

// Source is one log.
type Source struct {
	// Name says whose it is: "session", "pod/quote-1".
	Name string
	// Write writes the log to w.
	Write func(ctx context.Context, w io.Writer, o Options) error
}

// Print writes logs to w: one as it is; of several, each line behind its source's name. It
// goes on with the others where one cannot be read.
func Print(ctx context.Context, w io.Writer, sources []Source, o Options) error {
	if len(sources) == 1 {
		return ended(ctx, sources[0].Write(ctx, w, o))
	}
	var mu sync.Mutex
	errs := make([]error, len(sources))
	var g errgroup.Group
	if !o.Follow {
		g.SetLimit(1) // in order
	}
	for n, s := range sources {
		g.Go(func() error {
			out := &prefixed{w: w, mu: &mu, prefix: "[" + s.Name + "] "}
			err := ended(ctx, s.Write(ctx, out, o))
			if err != nil {
				err = fmt.Errorf("%s: %w", s.Name, err)
			}
			errs[n] = errors.Join(err, out.flush())
			return nil
		})
	}
	_ = g.Wait() // none returns an error
	return errors.Join(errs...)
}

// ended is no error if the user has ended the command.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// prefixed writes whole lines, each behind a prefix. Several share mu.
type prefixed struct {
	w      io.Writer
	mu     *sync.Mutex
	prefix string
	rest   []byte
}

// Write keeps the end of a line for later.
func (p *prefixed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	end := bytes.LastIndexByte(p.rest, '\n') + 1
	if end == 0 {
		return len(b), nil
	}
	var lines []byte
	for line := range bytes.Lines(p.rest[:end]) {
		lines = append(append(lines, p.prefix...), line...)
	}
	p.rest = append([]byte(nil), p.rest[end:]...)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.w.Write(lines)
	return len(b), err
}

// flush writes a last line without its end.
func (p *prefixed) flush() error {
	if len(p.rest) == 0 {
		return nil
	}
	_, err := p.Write([]byte("\n"))
	return err
}

// stamp is how lines of log/slog begin.
var stamp = regexp.MustCompile(`^time=(\S+) `)

// timeOf is when a line was logged; lines without a time belong to the one before.
func timeOf(line []byte) (time.Time, bool) {
	m := stamp.FindSubmatch(line)
	if m == nil {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(m[1]))
	return t, err == nil
}

// recent copies those lines of r that Since and Tail leave.
func recent(w io.Writer, r io.Reader, o Options) error {
	in := bufio.NewReader(r)
	keep, begun := [][]byte{}, o.Since.IsZero()
	for {
		line, err := in.ReadBytes('\n')
		if t, ok := timeOf(line); ok && !begun {
			begun = !t.Before(o.Since)
		}
		if len(line) > 0 && begun {
			if o.Tail < 0 {
				if _, werr := w.Write(line); werr != nil {
					return werr
				}
			} else if keep = append(keep, line); int64(len(keep)) > o.Tail {
				keep = keep[1:]
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	_, err := w.Write(bytes.Join(keep, nil))
	return err
}
