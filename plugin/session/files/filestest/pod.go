//go:build linux

// Package filestest is the pod of tests: a folder that an agent serves, over connections that
// can be cut and that take time.
package filestest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Server serves streams, as agent/files does.
type Server interface {
	Serve(io.ReadWriteCloser) error
}

// Pod is a server and its connections.
type Pod struct {
	Root string

	mu     sync.Mutex
	server Server
	open   map[net.Conn]bool
	wg     sync.WaitGroup
}

// ErrAway says that the pod is away.
var ErrAway = errors.New("the pod is away")

// New makes a pod that is served by server. It is cut off when the test ends.
func New(t testing.TB, root string, server Server) *Pod {
	p := &Pod{Root: root, server: server, open: map[net.Conn]bool{}}
	t.Cleanup(func() { p.Replace(nil) })
	return p
}

// Dial opens a stream.
func (p *Pod) Dial(context.Context) (io.ReadWriteCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil, ErrAway
	}
	here, there := net.Pipe()
	server := p.server
	p.open[there] = true
	p.wg.Go(func() {
		// How it ends is the other side's matter.
		_ = server.Serve(there)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, there)
	})
	return here, nil
}

// Replace cuts all streams, and lets another server take over. With nil there is none.
func (p *Pod) Replace(server Server) {
	p.mu.Lock()
	p.server = server
	for conn := range p.open {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Fill makes files below a folder. A name that ends in "/" is a folder, a text that begins
// with "->" is a symbolic link.
func Fill(t testing.TB, root string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		p := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		target, link := strings.CutPrefix(text, "->")
		switch {
		case err != nil:
		case link:
			err = os.Symlink(target, p)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(p, 0o755)
		default:
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
