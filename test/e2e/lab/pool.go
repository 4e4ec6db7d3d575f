//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// upTimeout bounds making a cluster with the product in it.
const upTimeout = 5 * time.Minute

// Pool holds the clusters of a test run. Each cluster belongs to one test at a time.
// The pool makes a cluster when a test needs one, and gives it to other tests later.
type Pool struct {
	*Tools

	free chan *Cluster
	room chan string // names of clusters that may still be made

	mu   sync.Mutex
	made []*Cluster
}

// NewPool returns a pool that makes up to size clusters, when tests need them. Their
// names are name, name-2 and so on.
func NewPool(name string, size int) (*Pool, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("these tests make clusters and must run as root")
	}
	tools, err := NewTools()
	if err != nil {
		return nil, err
	}
	p := &Pool{Tools: tools, free: make(chan *Cluster, size), room: make(chan string, size)}
	p.room <- name
	for i := 2; i <= size; i++ {
		p.room <- fmt.Sprintf("%s-%d", name, i)
	}
	return p, nil
}

// take waits for a cluster. The caller must return it with give.
func (p *Pool) take(ctx context.Context) (*Cluster, error) {
	select {
	case c := <-p.free: // a free cluster is better than a new one
		return c, nil
	default:
	}
	select {
	case c := <-p.free:
		return c, nil
	case name := <-p.room:
		return p.grow(ctx, name)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *Pool) give(c *Cluster) { p.free <- c }

func (p *Pool) grow(ctx context.Context, name string) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	c, err := up(ctx, p.Tools, name)
	if err != nil {
		p.room <- name
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = append(p.made, c)
	return c, nil
}

// Down removes the clusters, unless E2E_KEEP is set.
func (p *Pool) Down() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed error
	for _, c := range p.made {
		failed = errors.Join(failed, c.down())
	}
	return failed
}
