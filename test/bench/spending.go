package main

import "github.com/kubectl-intercept/kubectl-intercept/test/bench/report"

// wholeMachine is the row with the CPU time of the whole machine. sumOfRows is the row
// with the sum of all processes that have their own rows. The difference is work of the
// kernel that belongs to no process, and work of other programs.
const (
	wholeMachine = "whole machine"
	sumOfRows    = "sum of the rows below"
)

// spending is the CPU time of processes so far, in seconds.
type spending map[string]float64

func (b *bench) spent() spending {
	s := spending{wholeMachine: machineTime()}
	for _, name := range []string{sessionProcess, managerProcess, agentProcess, apiProcess} {
		s[name] = cpuTime(b.find(name))
	}
	if b.program != nil {
		s["program"] = cpuTime(b.program.cmd.Process.Pid)
	}
	if b.forward != nil {
		s["kubectl"] = cpuTime(b.forward.cmd.Process.Pid)
	}
	return s
}

// noteSpent adds the CPU times of a transfer to the table.
func (b *bench) noteSpent(w path, t transfer, before spending, r result) {
	rows := map[string][]string{
		report.Forward:   {apiProcess, "kubectl"},
		report.Intercept: {apiProcess, sessionProcess, managerProcess, agentProcess, "program"},
	}
	b.noteRows(&b.cpu, w.column, rows[w.column], t, before, r)
}

// noteRows adds what the machine, some processes and the caller have spent on a
// path.
func (b *bench) noteRows(g *report.Grid, title string, processes []string, t transfer, before spending, r result) {
	addRows(g, title, processes, t, before, b.spent(), r)
}

func addRows(g *report.Grid, title string, processes []string, t transfer, before, after spending, r result) {
	gigabytes := float64(r.Bulk.Bytes) / 1e9
	if gigabytes == 0 {
		return
	}
	each := func(name string) float64 { return (after[name] - before[name]) / gigabytes }
	caller := r.CPU.Seconds() / gigabytes
	sum := caller
	for _, name := range processes {
		sum += each(name)
	}
	g.Add(title+": "+wholeMachine, t.title, each(wholeMachine))
	if len(processes) > 0 {
		g.Add(title+": "+sumOfRows, t.title, sum)
	}
	for _, name := range processes {
		g.Add(title+": "+name, t.title, each(name))
	}
	g.Add(title+": caller", t.title, caller)
}
