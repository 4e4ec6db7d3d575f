package main

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// Counts of the latency figures; -seconds bounds them too.
const (
	pings    = "2000"
	connects = "300"
)

// throughput measures all transfers on all ways, and beside them what each
// process needs: memory at rest and under load, and CPU time.
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
			for _, w := range []way{b.direct(), b.forwarded(), b.intercepted()} {
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
	return nil
}

// latency measures round trips and new connections on all ways.
func (b *bench) latency(ctx context.Context) error {
	if err := b.intercept(ctx); err != nil {
		return err
	}
	for range b.rounds {
		for _, w := range []way{b.direct(), b.forwarded(), b.intercepted()} {
			if err := b.latencies(ctx, w, "", pings, connects); err != nil {
				return err
			}
		}
	}
	return nil
}

// latencies measures a way; the figures' keys begin with prefix.
func (b *bench) latencies(ctx context.Context, w way, prefix, pings, connects string) error {
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

// loaded measures round trips beside an upload and a download on the same way.
func (b *bench) loaded(ctx context.Context) error {
	if err := b.intercept(ctx); err != nil {
		return err
	}
	for range b.rounds {
		for _, w := range []way{b.direct(), b.forwarded(), b.intercepted()} {
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

// spending is the CPU time of processes so far, in seconds.
type spending map[string]float64

func (b *bench) spent() spending {
	s := spending{"whole machine": machineTime()}
	for _, name := range []string{sessionProcess, managerProcess, agentProcess, apiProcess} {
		s[name] = cpuTime(b.lab.find(name))
	}
	if b.program != nil {
		s["program"] = cpuTime(b.program.cmd.Process.Pid)
	}
	if b.forward != nil {
		s["kubectl"] = cpuTime(b.forward.cmd.Process.Pid)
	}
	return s
}

// noteSpent adds what a transfer has cost to the table of CPU times.
func (b *bench) noteSpent(w way, t transfer, before spending, r result) {
	rows := map[string][]string{
		report.Direct:    {"whole machine"},
		report.Forward:   {"whole machine", apiProcess, "kubectl"},
		report.Intercept: {"whole machine", apiProcess, sessionProcess, managerProcess, agentProcess, "program"},
	}
	b.noteRows(&b.cpu, w.column, rows[w.column], t, before, r)
}

// noteRows adds what some processes and the caller have spent on a way.
func (b *bench) noteRows(g *report.Grid, title string, processes []string, t transfer, before spending, r result) {
	gigabytes := float64(r.Bulk.Bytes) / 1e9
	if gigabytes == 0 {
		return
	}
	after := b.spent()
	for _, name := range processes {
		g.Add(title+": "+name, t.title, (after[name]-before[name])/gigabytes)
	}
	g.Add(title+": caller", t.title, r.CPU.Seconds()/gigabytes)
}
