package meter

import (
	"context"
	"net"
	"time"
)

// Stall opens count connections whose sender sends and whose receiver does not
// read, until no more data fits. The receiver is the caller with Downloads, and the
// server with Uploads. Stall calls ready when all connections are open, holds them
// until ctx ends, and then resets them.
func Stall(ctx context.Context, to Target, count int, direction string, ready func()) error {
	var all []*net.TCPConn
	defer func() {
		for _, c := range all {
			_ = c.SetLinger(0)
			c.Close()
		}
	}()
	for range count {
		c, err := to.dial(ctx, maxHold)
		if err != nil {
			return err
		}
		all = append(all, c)
		if direction == Downloads {
			err = request(c, opDownload, maxHold)
		} else if err = request(c, opStall, maxHold); err == nil {
			// send fails when Stall resets the connection, as intended.
			go func() { _ = send(c, time.Now().Add(maxHold)) }()
		}
		if err != nil {
			return err
		}
	}
	ready()
	<-ctx.Done()
	return nil
}

// Directions of Stall.
const (
	Downloads = "downloads"
	Uploads   = "uploads"
)
