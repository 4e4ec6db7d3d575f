package main

import (
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// Turns of requests. In a round, each path has turns of a kind of requests: A second on
// each path, and again. So what else the machine does hits all paths alike.
const (
	webTurns     = 2
	rateShare    = 3 // of the length of a transfer
	latencyShare = 6
)

// requests measures HTTP requests on all paths: how many there are in a second, how long
// one takes, and what CPU time it costs.
func (b *bench) requests(ctx context.Context) error {
	proxied, err := b.deployProxies(ctx)
	if err != nil {
		return err
	}
	if err := b.interceptRequests(ctx); err != nil {
		return err
	}
	paths := b.webPaths(proxied)
	for range b.rounds {
		for _, l := range webLoads() {
			for range webTurns {
				for _, w := range paths {
					if err := b.requestTurn(ctx, w, l); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// interceptRequests makes sure that requests with the laptop's value go to the laptop, and
// that there is no other intercept.
func (b *bench) interceptRequests(ctx context.Context) error {
	if b.added == personalName {
		return nil
	}
	if err := b.drop(ctx); err != nil {
		return err
	}
	_, err := b.lab.addPort(ctx, "ephemeral", webProgramPort+":web", "", "--name="+personalName, "--match="+webField+"=laptop")
	if err == nil {
		b.added = personalName
	}
	return err
}

func (b *bench) requestTurn(ctx context.Context, w webPath, l webLoad) error {
	key := webPrefix + l.key
	before := b.spentOn(w)
	r, err := b.request(ctx, w, l.load, b.length/rateShare)
	if err != nil {
		return b.failed(ctx, key, w.column, err)
	}
	b.report.Add(key, w.column, r.Latency.PerSecond())
	if l.key == "h1.small" {
		b.report.Add(key+".nginx", w.column, r.Latency.PerSecond())
	}
	for name, seconds := range b.spentOn(w) {
		b.webCPU.Add(name, l.title, (seconds-before[name])*1e6/float64(r.Latency.Count))
	}
	r, err = b.request(ctx, w, l.single(), b.length/latencyShare)
	if err != nil {
		return b.failed(ctx, key+".50", w.column, err)
	}
	b.report.Add(key+".50", w.column, millis(r.Latency.P50))
	b.report.Add(key+".99", w.column, millis(r.Latency.P99))
	return nil
}

// spentOn is the CPU time so far of what is between a caller and the server.
func (b *bench) spentOn(w webPath) spending {
	s := spending{}
	switch w.column {
	case report.Nginx, report.HAProxy:
		for _, pid := range b.lab.findAll(map[string]string{report.Nginx: nginxProcess, report.HAProxy: haproxyProcess}[w.column]) {
			s[w.column] += cpuTime(pid)
		}
	case report.Matched:
		for _, name := range []string{agentProcess, sessionProcess, managerProcess, apiProcess} {
			s[w.column+": "+name] = cpuTime(b.find(name))
		}
	case report.Unmatched:
		s[w.column+": "+agentProcess] = cpuTime(b.find(agentProcess))
	}
	return s
}
