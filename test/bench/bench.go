package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// bench is one run of the benchmark.
type bench struct {
	*options
	lab    *lab
	report *report.Report
	memory report.Grid
	cpu    report.Grid
	outCPU report.Grid // of the outbound table
	webCPU report.Grid // of HTTP requests

	targets          // the addresses of the deployments
	program *process // the program on the laptop that an intercept leads to
	forward *process // kubectl port-forward
	added   string   // the name of the intercept; empty for none
}

// section is a part of a run that -only can choose.
type section struct {
	name string
	run  func(*bench, context.Context) error
}

// sections returns the sections in the order in which they run. Sections that need new
// pods come first, and sections that end the intercept come last.
func sections() []section {
	return []section{
		{"first", (*bench).first},
		{"throughput", (*bench).throughput},
		{"latency", (*bench).latency},
		{"loaded", (*bench).loaded},
		{"stalled", (*bench).stalled},
		{"memory", (*bench).afterLeave},
		{"requests", (*bench).requests},
		{"personal", (*bench).personal},
		{"delay", (*bench).delay},
		{"alone", (*bench).alone},
		{"outbound", (*bench).outbound},
		{"names", (*bench).names},
		{"flows", (*bench).flows},
		{"via", (*bench).viaPod},
		{"volumes", (*bench).volumes},
	}
}

func sectionNames() string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return strings.Join(names, " ")
}

// measure does a whole run. It prints the figures that it has, even after an error.
func measure(ctx context.Context, o *options, out, log io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	started, load := time.Now(), loadAverage()
	l, fresh, err := openLab(ctx, o, log)
	if l == nil {
		return err
	}
	defer func() {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
		defer cancel()
		err = errors.Join(err, l.close(cctx, o.keep))
	}()
	if err != nil {
		return err
	}
	b := &bench{options: o, lab: l, report: report.New(figures()),
		memory: report.Grid{Title: "peak resident memory, MB", Columns: phases()},
		cpu:    report.Grid{Title: "CPU seconds per 1e9 bytes", Columns: transferTitles()},
		outCPU: report.Grid{Title: "CPU seconds per 1e9 bytes, outbound", Columns: outTitles()},
		webCPU: report.Grid{Title: "CPU µs per request", Columns: webTitles()}}
	defer b.stop(ctx)
	if b.targets, err = prepare(ctx, l, fresh); err != nil {
		return err
	}
	if b.program, err = l.startProgram(ctx); err != nil {
		return err
	}
	var errs []error
	for _, s := range sections() {
		if ctx.Err() != nil || !o.only.MatchString(s.name) {
			continue
		}
		l.say("measuring: %s", s.name)
		if err := s.run(b, ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	if len(errs) == 0 && ctx.Err() != nil { // between two sections
		errs = append(errs, ctx.Err())
	}
	return errors.Join(append(errs, b.print(out, started, load))...)
}

// stop ends everything that runs outside of pods.
func (b *bench) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := b.drop(ctx); err != nil {
		b.lab.say("leave: %v", err)
	}
	if err := b.lab.endSessions(ctx); err != nil {
		b.lab.say("%v", err)
	}
	b.forward.stop()
	b.program.stop()
}

// intercept makes sure that the deployment "ephemeral" is intercepted.
func (b *bench) intercept(ctx context.Context) error {
	if b.added == "ephemeral" {
		return nil
	}
	if err := b.drop(ctx); err != nil {
		return err
	}
	_, err := b.lab.add(ctx, "ephemeral", "")
	if err == nil {
		b.added = "ephemeral"
	}
	return err
}

// drop ends the intercept, if there is one.
func (b *bench) drop(ctx context.Context) error {
	if b.added == "" {
		return nil
	}
	if err := b.lab.leave(ctx, b.added, ""); err != nil {
		return err
	}
	b.added = ""
	return nil
}

// print writes the tables, and the JSON if it is wanted.
func (b *bench) print(out io.Writer, started time.Time, load string) error {
	rows := b.report.Rows()
	fmt.Fprintf(out, "\n%d rounds of %s on %d CPUs, load average %s before\n\n", b.rounds, b.length, runtime.NumCPU(), load)
	err := report.Print(out, rows)
	for _, g := range []*report.Grid{&b.memory, &b.cpu, &b.outCPU, &b.webCPU} {
		if len(g.Rows) > 0 {
			fmt.Fprintln(out)
		}
		err = errors.Join(err, g.Print(out))
	}
	noise := b.report.Noise()
	missed := 0
	for _, r := range rows {
		if r.Verdict == report.Below {
			missed++
		}
		for _, column := range slices.Sorted(maps.Keys(r.Cells)) {
			if c := r.Cells[column]; c.Failed != "" {
				fmt.Fprintf(out, "\nfailed: %s, %s: %s\n", r.Title, column, c.Failed)
			}
		}
	}
	fmt.Fprintf(out, "\n%d figures miss their limits, %s\n", missed, time.Since(started).Round(time.Second))
	for _, why := range noise {
		fmt.Fprintf(out, "This run is noise: %s\n", why)
	}
	if b.json != "" {
		err = errors.Join(err, writeJSON(b.json, map[string]any{
			"started": started.UTC().Format(time.RFC3339), "rounds": b.rounds, "seconds": b.length.Seconds(),
			"cpus": runtime.NumCPU(), "loadBefore": load, "noise": noise, "figures": rows, "memory": b.memory, "cpu": b.cpu, "outboundCPU": b.outCPU, "requestCPU": b.webCPU,
		}))
	}
	if missed > 0 && b.strict {
		err = errors.Join(err, fmt.Errorf("%d figures miss their limits", missed))
	}
	return err
}

func writeJSON(file string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
