package main

import "context"

// Maximum counts for the latency figures. The flag -seconds also limits them.
const (
	pings    = "2000"
	connects = "300"
)

// throughput measures all transfers on all paths. It also measures the memory of each
// process at rest and under load, and its CPU time.
func (b *bench) throughput(ctx context.Context) error {
	if err := b.intercept(ctx); err != nil {
		return err
	}
	if err := b.atRest(ctx); err != nil {
		return err
	}
	peaks := b.watchPeaks()
	for range b.rounds {
		for _, t := range transfers() {
			for _, w := range []path{b.direct(), b.forwarded(), b.intercepted()} {
				before := b.spent()
				r, err := b.transfer(ctx, w, t, t.key)
				if err != nil {
					return err
				}
				b.noteSpent(w, t, before, r)
			}
		}
	}
	peaks.note(phaseLoad)
	return b.pastThroughput(ctx)
}

// latency measures round trips and new connections on all paths.
func (b *bench) latency(ctx context.Context) error {
	if err := b.intercept(ctx); err != nil {
		return err
	}
	for range b.rounds {
		for _, w := range []path{b.direct(), b.forwarded(), b.intercepted()} {
			if err := b.latencies(ctx, w, "", pings, connects); err != nil {
				return err
			}
		}
	}
	return b.pastLatency(ctx)
}

// latencies measures round trips and new connections on one path. The keys of the figures
// begin with prefix.
func (b *bench) latencies(ctx context.Context, w path, prefix, pings, connects string) error {
	length := "-length=" + b.length.String()
	r, err := b.call(ctx, w, "ping", "-count="+pings, length)
	if err != nil {
		return b.failed(ctx, prefix+"ping50", w.column, err)
	}
	b.report.Add(prefix+"ping50", w.column, millis(r.Latency.P50))
	if prefix == "" {
		b.report.Add("ping99", w.column, millis(r.Latency.P99))
	}
	r, err = b.call(ctx, w, "connect", "-count="+connects, length)
	if err != nil {
		return b.failed(ctx, prefix+"connect50", w.column, err)
	}
	b.report.Add(prefix+"connect50", w.column, millis(r.Latency.P50))
	if prefix == "" {
		b.report.Add("connects", w.column, r.Latency.PerSecond())
	}
	return nil
}

// loaded measures round trips beside an upload and a download on the same path.
func (b *bench) loaded(ctx context.Context) error {
	if err := b.intercept(ctx); err != nil {
		return err
	}
	for range b.rounds {
		for _, w := range []path{b.direct(), b.forwarded(), b.intercepted()} {
			r, err := b.call(ctx, w, "loaded", "-length="+b.length.String())
			if err != nil {
				if err := b.failed(ctx, "loaded50", w.column, err); err != nil {
					return err
				}
				continue
			}
			b.report.Add("loaded50", w.column, millis(r.Latency.P50))
			b.report.Add("loaded99", w.column, millis(r.Latency.P99))
		}
	}
	return nil
}
