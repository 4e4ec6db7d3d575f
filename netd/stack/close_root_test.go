//go:build rootful && linux

package stack_test

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
)

// TestCloseTellsEverybody closes stacks while connections begin, at another
// moment each time: whoever got through hears of the end.
func TestCloseTellsEverybody(t *testing.T) {
	for round := range 100 {
		l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) { c.Read(make([]byte, 1)) })})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c, err := l.space.Dial(ctx, "tcp", "10.99.0.2:1")
				if err != nil {
					return // came too late
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("round %d: a program's connection ends with %v", round, err)
				}
			})
		}
		time.Sleep(time.Duration(round) * 20 * time.Microsecond)
		must(t, l.stack.Close())
		cancel()
		wg.Wait()
		must(t, l.space.Close())
	}
}
