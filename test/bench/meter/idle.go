package meter

import (
	"context"
	"io"
	"net"
)

// Idle opens count connections, echoes a byte on each, and calls ready. It holds
// the connections until ctx ends.
func Idle(ctx context.Context, to Target, count int, ready func()) error {
	var all []*net.TCPConn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for range count {
		c, err := to.dial(ctx, maxHold)
		if err != nil {
			return err
		}
		all = append(all, c)
		if _, err := c.Write([]byte{opEcho, 'x'}); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return err
		}
	}
	ready()
	<-ctx.Done()
	return nil
}
