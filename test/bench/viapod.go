package main

import (
	"context"
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

const (
	viaPrefix = "via."
	// viaAtLeast is what the network of a pod keeps of the traffic-manager's.
	viaAtLeast = 0.8
)

// viaTransfers are the transfers that are measured from a pod.
func viaTransfers() []transfer { return transfers()[:2] }

// viaFigures are the lines of the table of connections that leave from a pod.
func viaFigures() []report.Figure {
	var list []report.Figure
	add := func(key, title string, unit report.Unit, kind report.Kind, limit float64) {
		list = append(list, report.Figure{Key: viaPrefix + key, Title: title, Unit: unit, Column: report.ViaPod,
			Bar: report.Bar{Kind: kind, Limit: limit, Against: report.ViaNone}})
	}
	for _, t := range viaTransfers() {
		add(t.key, "proxy: "+t.title, report.Rate, report.RatioAtLeast, viaAtLeast)
	}
	add("ping50", "proxy: 64 bytes and back, p50", report.Millis, report.RatioAtMost, 1/viaAtLeast)
	add("ping99", "proxy: 64 bytes and back, p99", report.Millis, report.None, 0)
	add("connect50", "proxy: new connection + 1 byte, p50", report.Millis, report.RatioAtMost, 1/viaAtLeast)
	add("connects", "proxy: new connections", report.PerSecond, report.RatioAtLeast, viaAtLeast)
	return list
}

// viaPod measures connections that leave from the traffic-manager and such that leave from a
// pod, in turn, to the same Service.
func (b *bench) viaPod(ctx context.Context) error {
	defer b.hangUp(ctx)
	if err := b.drop(ctx); err != nil {
		return err
	}
	tr := outTransports()[0]
	for range b.rounds {
		for _, from := range []struct{ column, via string }{{report.ViaNone, "none"}, {report.ViaPod, "deployment/ephemeral"}} {
			if err := b.lab.endSessions(ctx); err != nil {
				return err
			}
			if _, err := b.lab.connect(ctx, "--transport="+tr.name, "--proxy=127.0.0.1:"+proxyPort, "--via="+from.via); err != nil {
				return fmt.Errorf("via %s: %w", from.via, err)
			}
			w := path{column: from.column, in: b.lab.laptop, addr: b.service, socks: "127.0.0.1:" + proxyPort}
			for _, t := range viaTransfers() {
				if _, err := b.transfer(ctx, w, t, viaPrefix+t.key); err != nil {
					return err
				}
			}
			if err := b.outLatency(ctx, w, []string{viaPrefix}); err != nil {
				return err
			}
		}
	}
	return nil
}
