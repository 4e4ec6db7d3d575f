// Package journal remembers what was changed on this machine, so that the next
// netd can undo it when one was killed.
//
// There is a file per interface. Its owner holds a lock on it (flock(2)), which
// ends with the owner, however that ends. A record is appended before the
// change that it tells of; the last whole one counts.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
)

// ErrTaken says that a living process has the interface.
var ErrTaken = errors.New("in use by another intercept-netd")

// Record is what there may be to undo.
type Record struct {
	Interface string `json:"interface"`
	DNS       string `json:"dns,omitempty"` // a mode of package handover
	// Addresses are those that the interface was given.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
}

// Page is the file of one interface, locked.
type Page struct {
	f    *os.File
	last Record
}

// Claim locks the page of an interface; the error may be ErrTaken. The page
// may hold what a dead owner left: see Last. The folder is made, for its owner
// alone.
func Claim(dir, name string) (*Page, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make journal: %w", err)
	}
	path := filepath.Join(dir, name)
	for {
		f, err := Lock(path)
		if err != nil {
			return nil, fmt.Errorf("open journal of %s: %w", name, err)
		}
		// The owner before may have removed the file in between.
		if !same(f, path) {
			f.Close()
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("read journal: %w", err)
		}
		return &Page{f: f, last: last(b)}, nil
	}
}

// Lock opens a file, makes it if need be, and locks it until it is closed. The
// error may be ErrTaken.
func Lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func same(f *os.File, path string) bool {
	a, err := f.Stat()
	b, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(a, b)
}

// last is the newest record of which everything was written.
func last(b []byte) (r Record) {
	for line := range bytes.Lines(b) {
		var next Record
		if bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &next) == nil {
			r = next
		}
	}
	return r
}

// Left claims the pages of the dead.
func Left(dir string) ([]*Page, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var pages []*Page
	for _, f := range files {
		p, err := Claim(dir, f.Name())
		switch {
		case errors.Is(err, ErrTaken):
		case err != nil:
			return pages, err
		default:
			pages = append(pages, p)
		}
	}
	return pages, nil
}

// Last is the newest record; zero if there was nothing.
func (p *Page) Last() Record { return p.last }

// Write says what is about to change. It holds when Write returns.
func (p *Page) Write(r Record) error {
	b, err := json.Marshal(r)
	if err == nil {
		_, err = fmt.Fprintf(p.f, "\n%s\n", b) // what a killed owner began ends here
	}
	if err == nil {
		err = p.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	p.last = r
	return nil
}

// Done removes the page: everything is undone.
func (p *Page) Done() error {
	if runtime.GOOS == "windows" {
		p.f.Close() // there, what is open cannot be removed
	}
	err := os.Remove(p.f.Name())
	p.f.Close()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Close unlocks the page and leaves it for the next netd.
func (p *Page) Close() { p.f.Close() }
