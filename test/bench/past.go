package main

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

const (
	// Limits of an intercept past the API server, times the same by the service proxy.
	pastAtLeast, pastAtMost = 2, 0.7
	pastPrefix              = "past."
	// openPort is the node port that the cluster's laptops reach.
	openPort = "30443"
)

// pastTransfers are on one stream, for which the API server is the limit.
func pastTransfers() []transfer { return transfers()[:2] }

// pastFigures are the lines for an intercept whose session goes past the API server.
func pastFigures() []report.Figure {
	var list []report.Figure
	add := func(key, title string, unit report.Unit, kind report.Kind, limit float64) {
		list = append(list, report.Figure{Key: pastPrefix + key, Title: "past the API server: " + title, Unit: unit,
			Bar: report.Bar{Kind: kind, Limit: limit, Base: key}})
	}
	for _, t := range pastTransfers() {
		add(t.key, t.title, report.Rate, report.RatioAtLeast, pastAtLeast)
	}
	add("ping50", "64 bytes and back, p50", report.Millis, report.RatioAtMost, pastAtMost)
	add("connect50", "new connection + 1 byte, p50", report.Millis, report.RatioAtMost, 1)
	return list
}

// past runs measure while the session goes past the API server, and has it go by the service
// proxy again.
func (b *bench) past(ctx context.Context, measure func() error) error {
	if err := b.drop(ctx); err != nil {
		return err
	}
	if _, err := b.lab.add(ctx, "ephemeral", "", "--transport=direct"); err != nil {
		return b.failed(ctx, pastPrefix+"up1", report.Intercept, err)
	}
	b.added = "ephemeral"
	if err := measure(); err != nil {
		return err
	}
	return b.drop(ctx)
}

// pastThroughput measures transfers past the API server.
func (b *bench) pastThroughput(ctx context.Context) error {
	return b.past(ctx, func() error {
		for range b.rounds {
			for _, t := range pastTransfers() {
				if _, err := b.transfer(ctx, b.intercepted(), t, pastPrefix+t.key); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// pastLatency measures round trips and new connections past the API server.
func (b *bench) pastLatency(ctx context.Context) error {
	return b.past(ctx, func() error {
		for range b.rounds {
			if err := b.latencies(ctx, b.intercepted(), pastPrefix, pings, connects); err != nil {
				return err
			}
		}
		return nil
	})
}
