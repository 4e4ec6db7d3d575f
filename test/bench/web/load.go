package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
)

// limit is when a client ends: at a time, or after a number of requests.
type limit struct {
	until time.Time
	count int // on each connection
}

// over says whether a client that has made this many requests is to make no more.
func (l *limit) over(made int) bool { return made >= l.count || !time.Now().Before(l.until) }

// Run makes requests for the duration d, and count on each connection at most. It fails if
// one of them fails.
func Run(ctx context.Context, addr string, load Load, count int, d time.Duration) (meter.Latency, error) {
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result, load.Connections)
	start := time.Now()
	l := limit{start.Add(d), count}
	for range load.Connections {
		go func() {
			took, err := one(ctx, addr, &load, &l)
			results <- result{took, err}
		}()
	}
	var all []time.Duration
	var errs []error
	for range load.Connections {
		r := <-results
		all = append(all, r.took...)
		errs = append(errs, r.err)
	}
	return meter.Summarize(all, time.Since(start)), errors.Join(errs...)
}

func one(ctx context.Context, addr string, load *Load, l *limit) ([]time.Duration, error) {
	deadline := l.until.Add(grace)
	if load.Protocol == HTTP1 {
		c := newHTTP1(addr, load, deadline)
		defer c.close()
		return c.run(ctx, l)
	}
	c, err := dialHTTP2(ctx, addr, load, deadline)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	return c.run(l)
}

// Hold makes count connections with one request on each, and calls ready. It holds them
// until ctx ends.
func Hold(ctx context.Context, addr string, load Load, count int, ready func()) error {
	const maxHold = 5 * time.Minute
	l := limit{time.Now().Add(maxHold), load.Streams}
	for n := range count {
		var err error
		if load.Protocol == HTTP1 {
			c := newHTTP1(addr, &load, l.until)
			defer c.close()
			err = c.exchange(ctx)
		} else {
			var c *http2Client
			if c, err = dialHTTP2(ctx, addr, &load, l.until); err == nil {
				defer c.conn.Close()
				_, err = c.run(&l)
			}
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", n+1, err)
		}
	}
	ready()
	<-ctx.Done()
	return nil
}

func dial(ctx context.Context, addr string, deadline time.Time) (net.Conn, error) {
	c, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(deadline)
}
