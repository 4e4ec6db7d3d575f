package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// stalled measures how flows whose receiver never reads affect other flows and the
// session's memory. In one case callers do not read the answers. In the other, the
// program on the laptop does not read the requests.
func (b *bench) stalled(ctx context.Context) error {
	if err := b.intercept(ctx); err != nil {
		return err
	}
	for _, stall := range []string{meter.Downloads, meter.Uploads} {
		for range b.rounds {
			for _, d := range directions() {
				if _, err := b.transfer(ctx, b.intercepted(), d, "alone."+d.key); err != nil {
					return err
				}
			}
			if err := b.besideStalled(ctx, stall, 20); err != nil {
				return err
			}
		}
	}
	// These come last, because a process keeps some of its peak memory.
	for _, stall := range []string{meter.Downloads, meter.Uploads} {
		if err := b.besideStalled(ctx, stall, 200); err != nil {
			return err
		}
	}
	return b.forwardStalled(ctx)
}

func stallPhase(count int, stall string) string { return fmt.Sprintf("%d %s", count, stall) }

// besideStalled starts stalled flows, measures a healthy flow beside them, and ends them.
func (b *bench) besideStalled(ctx context.Context, stall string, count int) error {
	w := b.intercepted()
	peaks := b.watchPeaks()
	holder, err := b.stall(ctx, w, stall, count)
	if err != nil {
		return b.failed(ctx, fmt.Sprintf("rss%d.%s", count, stall), w.column, err)
	}
	defer holder.stop()
	if err := b.settle(ctx); err != nil {
		return err
	}
	if count == 20 {
		for _, d := range directions() {
			if _, err := b.transfer(ctx, w, d, "beside."+stall+"."+d.key); err != nil {
				return err
			}
		}
	}
	b.report.Add(fmt.Sprintf("rss%d.%s", count, stall), report.Intercept, peaks.note(stallPhase(count, stall)))
	holder.stop()
	// Flows with unread data last until the program that does not read has ended.
	b.program.stop()
	if b.program, err = b.lab.startProgram(ctx); err != nil {
		return err
	}
	return sleep(ctx, time.Second)
}

func (b *bench) stall(ctx context.Context, w path, stall string, count int) (*process, error) {
	argv := w.in(b.lab.self, "call", stall, "-addr="+w.addr, "-socks="+w.socks, "-count="+strconv.Itoa(count))
	return start(ctx, argv, b.lab.env, ready)
}

// settle waits until the session's memory no longer grows. Then the stalled flows have
// filled their buffers.
func (b *bench) settle(ctx context.Context) error {
	const (
		limit = 15
		still = 1 // MB
	)
	pid := b.find(sessionProcess)
	last, _ := resident(pid)
	for range limit {
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		now, _ := resident(pid)
		if math.Abs(now-last) < still {
			return nil
		}
		last = now
	}
	return nil
}

// forwardStalled measures a flow through kubectl port-forward beside 20 stalled readers.
// If port-forward hangs, this takes until the transfer times out.
func (b *bench) forwardStalled(ctx context.Context) error {
	b.dropForward()
	defer b.dropForward()
	w := b.forwarded()
	d := directions()[0]
	if _, err := b.transfer(ctx, w, d, "alone."+d.key); err != nil {
		return err
	}
	holder, err := b.stall(ctx, w, meter.Downloads, 20)
	if err != nil {
		return b.failed(ctx, "beside."+meter.Downloads+"."+d.key, w.column, err)
	}
	defer holder.stop()
	if err := sleep(ctx, 4*time.Second); err != nil {
		return err
	}
	_, err = b.transfer(ctx, w, d, "beside."+meter.Downloads+"."+d.key)
	return err
}
