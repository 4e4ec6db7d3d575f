package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/stack"
)

type aloneFigure struct {
	key, title string
	name       string // that package stack has
	unit       report.Unit
	bar        report.Bar
}

func aloneFigures() []aloneFigure {
	rate := report.Bar{Kind: report.RatioAtLeast, Limit: aloneAtLeast, Against: report.Loopback, Floor: aloneFloor, Given: aloneLoopback}
	none := report.Bar{Against: report.Loopback}
	var list []aloneFigure
	for i, f := range []struct {
		name string
		unit report.Unit
		bar  report.Bar
	}{
		{"up, 1 stream", report.Gigabits, rate},
		{"down, 1 stream", report.Gigabits, rate},
		{"up, 4 streams", report.Gigabits, none},
		{"down, 4 streams", report.Gigabits, none},
		{"64 bytes and back, p50", report.Micros, none},
		{"new connections", report.PerSecond, none},
	} {
		list = append(list, aloneFigure{fmt.Sprintf("alone%d", i), "netd alone: " + f.name, f.name, f.unit, f.bar})
	}
	return list
}

// alone measures netd and its stack without a cluster.
func (b *bench) alone(ctx context.Context) error {
	known := map[string]aloneFigure{}
	for _, f := range aloneFigures() {
		known[f.name] = f
	}
	for range b.rounds {
		out, err := output(ctx, time.Minute+20*b.length, []string{b.lab.self, "alone", "-length=" + b.length.String()}, b.lab.env)
		if err != nil {
			return err
		}
		var measured []stack.Figure
		if err := json.Unmarshal([]byte(out), &measured); err != nil {
			return err
		}
		for _, m := range measured {
			f, ok := known[m.Name]
			if !ok {
				return fmt.Errorf("figure %q is unknown", m.Name)
			}
			b.report.Add(outboundPrefix+f.key, report.Loopback, m.Loopback)
			b.report.Add(outboundPrefix+f.key, report.Outbound, m.Stack)
		}
	}
	return nil
}
