package main

import (
	"context"
	"math"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// Phases in the memory table.
const (
	phaseRest = "at rest"
	phaseLoad = "load"
	phaseLeft = "after leave"
	phaseSlow = "20 ms away"
)

func phases() []string {
	return []string{phaseRest, phaseLoad, stallPhase(20, meter.Downloads), stallPhase(20, meter.Uploads),
		stallPhase(200, meter.Downloads), stallPhase(200, meter.Uploads), phaseLeft, phaseSlow, stallPhase(idleFlows, "idle")}
}

// peaks measures the peak memory of each process during a phase.
type peaks struct {
	bench *bench
	pids  map[string]int
}

// watchPeaks resets the peak memory of every process.
func (b *bench) watchPeaks() *peaks {
	p := &peaks{b, map[string]int{}}
	for _, name := range []string{sessionProcess, managerProcess, agentProcess} {
		p.pids[name] = b.find(name)
		resetPeak(p.pids[name])
	}
	return p
}

// note adds the peaks since watchPeaks to the table. It returns the peak of the session
// process.
func (p *peaks) note(phase string) (session float64) {
	for _, name := range []string{sessionProcess, managerProcess, agentProcess} {
		_, peak := resident(p.pids[name])
		p.bench.memory.Add(name, phase, peak)
		if name == sessionProcess {
			session = peak
		}
	}
	if p.bench.forward.alive() && phase == phaseLoad {
		_, peak := resident(p.bench.forward.cmd.Process.Pid)
		p.bench.memory.Add("kubectl port-forward", phase, peak)
	}
	return session
}

// atRest adds the memory of an intercept without traffic to the table.
func (b *bench) atRest(ctx context.Context) error {
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	for _, name := range []string{sessionProcess, managerProcess, agentProcess} {
		now, _ := resident(b.find(name))
		b.memory.Add(name, phaseRest, now)
		if name == agentProcess {
			b.report.Add("agent.rest", report.Intercept, now)
		}
	}
	return nil
}

// afterLeave adds the memory of an agent without an intercept to the table.
func (b *bench) afterLeave(ctx context.Context) error {
	if b.added == "" { // no section before this one needed it
		if err := b.intercept(ctx); err != nil {
			return err
		}
		if err := b.atRest(ctx); err != nil {
			return err
		}
	}
	if err := b.drop(ctx); err != nil {
		return err
	}
	for _, name := range []string{agentProcess, sessionProcess, managerProcess} {
		now, err := b.rest(ctx, name)
		if err != nil {
			return err
		}
		b.memory.Add(name, phaseLeft, now)
		if name == agentProcess {
			b.report.Add("agent.left", report.Intercept, now)
		}
	}
	return nil
}

// rest returns the memory of a process when it no longer falls. The product gives memory
// back between 5 and 10 seconds after the last byte of a flow, so it has to stay for longer
// than that.
func (b *bench) rest(ctx context.Context, name string) (float64, error) {
	const (
		limit = 30 * time.Second
		still = 12 * time.Second
		fall  = 0.3 // MB
	)
	pid := b.find(name)
	begin := time.Now()
	lowest, since := math.Inf(1), begin
	for {
		now, _ := resident(pid)
		if now < lowest-fall {
			lowest, since = now, time.Now()
		}
		if time.Since(since) > still || time.Since(begin) > limit {
			return now, nil
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return 0, err
		}
	}
}
