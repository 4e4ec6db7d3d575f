package main

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// outbound measures callers on the laptop that connect with a Service and a
// pod, on every path and through both transports.
func (b *bench) outbound(ctx context.Context) error {
	defer b.hangUp(ctx)
	for _, tr := range outTransports() {
		if err := b.reconnect(ctx, tr); err != nil {
			return err
		}
		for range b.rounds {
			for _, t := range outTransfers() {
				if err := b.outTransfer(ctx, tr, t); err != nil {
					return err
				}
			}
			if err := b.outLatencies(ctx, tr); err != nil {
				return err
			}
		}
	}
	return nil
}

// hangUp ends the sessions, and with them the laptop's access to the cluster.
func (b *bench) hangUp(ctx context.Context) {
	if err := b.lab.endSessions(context.WithoutCancel(ctx)); err != nil {
		b.lab.say("%v", err)
	}
}

// outKeys returns the keys of one figure for all kinds of outbound access. Measurements of
// direct connections and of port-forward are added under all of them, because each kind is
// compared with them.
func outKeys(tr outTransport, key string) []string {
	var keys []string
	for _, k := range outKinds() {
		keys = append(keys, outboundPrefix+tr.key+k.key+key)
	}
	return keys
}

func (b *bench) outTransfer(ctx context.Context, tr outTransport, t transfer) error {
	for _, w := range []path{b.direct(), b.forwarded()} {
		if err := b.outCall(ctx, w, outKeys(tr, t.key), t); err != nil {
			return err
		}
	}
	for _, k := range outKinds() {
		before := b.spent()
		key := outboundPrefix + tr.key + k.key + t.key
		r, err := b.transfer(ctx, k.path(b, b.service), t, key)
		if err != nil {
			return err
		}
		b.noteRows(&b.outCPU, k.title+tr.title, []string{apiProcess, sessionProcess, managerProcess}, t, before, r)
	}
	return nil
}

// outCall measures a transfer once and notes it under several keys.
func (b *bench) outCall(ctx context.Context, w path, keys []string, t transfer) error {
	before := b.spent()
	r, err := b.transfer(ctx, w, t, keys[0])
	if err != nil {
		return err
	}
	for _, key := range keys[1:] {
		b.report.Add(key, w.column, r.Bulk.Rate())
	}
	var processes []string
	if w.column == report.Forward {
		processes = []string{apiProcess, "kubectl"}
	}
	b.noteRows(&b.outCPU, w.column, processes, t, before, r)
	return nil
}

// outLatencies measures round trips and new connections on all paths.
func (b *bench) outLatencies(ctx context.Context, tr outTransport) error {
	for _, w := range []path{b.direct(), b.forwarded()} {
		if err := b.outLatency(ctx, w, outKeys(tr, "")); err != nil {
			return err
		}
		if err := b.outConnects(ctx, w, outKeys(tr, "pod.")); err != nil {
			return err
		}
	}
	for _, k := range outKinds() {
		key := outboundPrefix + tr.key + k.key
		if err := b.outLatency(ctx, k.path(b, b.service), []string{key}); err != nil {
			return err
		}
		if err := b.outConnects(ctx, k.path(b, b.plain), []string{key + "pod."}); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) outLatency(ctx context.Context, w path, prefixes []string) error {
	r, err := b.call(ctx, w, "ping", "-count="+pings, "-length="+b.length.String())
	for _, prefix := range prefixes {
		if err != nil {
			if err := b.failed(ctx, prefix+"ping50", w.column, err); err != nil {
				return err
			}
			continue
		}
		b.report.Add(prefix+"ping50", w.column, millis(r.Latency.P50))
		b.report.Add(prefix+"ping99", w.column, millis(r.Latency.P99))
	}
	r, err = b.call(ctx, w, "connect", "-count="+connects, "-length="+b.length.String())
	for _, prefix := range prefixes {
		if err != nil {
			if err := b.failed(ctx, prefix+"connect50", w.column, err); err != nil {
				return err
			}
			continue
		}
		b.report.Add(prefix+"connect50", w.column, millis(r.Latency.P50))
		b.report.Add(prefix+"connects", w.column, r.Latency.PerSecond())
	}
	return nil
}

func (b *bench) outConnects(ctx context.Context, w path, prefixes []string) error {
	r, err := b.call(ctx, w, "connect", "-count="+connects, "-length="+b.length.String())
	for _, prefix := range prefixes {
		if err != nil {
			if err := b.failed(ctx, prefix+"connect50", w.column, err); err != nil {
				return err
			}
			continue
		}
		b.report.Add(prefix+"connect50", w.column, millis(r.Latency.P50))
	}
	return nil
}
