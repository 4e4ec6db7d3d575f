package main

import (
	"context"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// flows measures how long `connect` takes. It also measures the session's memory with
// many idle connections, and with some connections whose receiver never reads.
func (b *bench) flows(ctx context.Context) error {
	defer b.hangUp(ctx)
	if err := b.drop(ctx); err != nil {
		return err
	}
	kinds, tr := outKinds(), outTransports()[0]
	for range b.rounds {
		for i, k := range kinds {
			if err := b.lab.endSessions(ctx); err != nil {
				return err
			}
			s, err := b.lab.connect(ctx, k.flags(tr)...)
			if err != nil {
				return err
			}
			b.report.Add(outboundPrefix+k.key+"starts", report.Outbound, s.End.Sub(s.Start).Seconds())
			other := kinds[1-i]
			if s, err = b.lab.connect(ctx, other.flags(tr)...); err != nil {
				return err
			}
			b.report.Add(outboundPrefix+other.key+"warm", report.Outbound, s.End.Sub(s.Start).Seconds())
		}
	}
	for _, k := range kinds {
		if err := b.lab.endSessions(ctx); err != nil {
			return err
		}
		if _, err := b.lab.connect(ctx, k.flags(tr)...); err != nil {
			return err
		}
		if err := b.heldMemory(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// heldMemory measures the session's memory while connections are open.
func (b *bench) heldMemory(ctx context.Context, k outKind) error {
	w := k.path(b, b.service)
	if _, err := b.call(ctx, w, "ping", "-count=1", "-length=1s"); err != nil { // a session that has begun
		return err
	}
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	key := outboundPrefix + k.key
	rest, _ := resident(b.find(sessionProcess))
	b.report.Add(key+"rest", report.Outbound, rest)
	for _, h := range []struct {
		key, call string
		count     int
		above     float64
	}{{"idle", "idle", idleFlows, rest}, {"unread", meter.Downloads, unreadFlows, 0}} {
		holder, err := b.stall(ctx, w, h.call, h.count)
		if err != nil {
			if err := b.failed(ctx, key+h.key, report.Outbound, err); err != nil {
				return err
			}
			continue
		}
		err = b.settle(ctx)
		now, _ := resident(b.find(sessionProcess))
		b.report.Add(key+h.key, report.Outbound, now-h.above)
		b.memory.Add(sessionProcess+", "+k.title, stallPhase(h.count, h.call), now)
		holder.stop()
		if err != nil {
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}
