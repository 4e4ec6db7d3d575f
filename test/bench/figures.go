package main

import (
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// transfer is a kind of bulk measurement.
type transfer struct {
	key, title, call, streams string
	atLeast                   float64 // times port-forward
}

func transfers() []transfer {
	return []transfer{
		{"up1", "up, 1 stream", "upload", "1", 1.05},
		{"down1", "down, 1 stream", "download", "1", 1.2},
		{"up4", "up, 4 streams", "upload", "4", 1.7},
		{"down4", "down, 4 streams", "download", "4", 1.4},
	}
}

func transferTitles() []string {
	var titles []string
	for _, t := range transfers() {
		titles = append(titles, t.title)
	}
	return titles
}

// Limits for figures that are not throughput relative to port-forward.
const (
	pingAtMost     = 1.05 // times port-forward
	connectAtMost  = 0.65
	loadedAtMost   = 0.10
	healthyAtLeast = 0.8 // times the same flow alone
	delayedAtLeast = 1.2 // times port-forward
	agentIdle      = 20  // MB
	session20      = 100
	session200     = 160
)

// Minimum throughput of a direct flow and of port-forward. Below that, other programs
// kept the machine busy and the figures mean nothing.
const (
	quietDirect  = 1500
	quietForward = 150
)

// figures are the lines of the table.
func figures() []report.Figure {
	var list []report.Figure
	add := func(key, title string, unit report.Unit, bar report.Bar) {
		list = append(list, report.Figure{Key: key, Title: title, Unit: unit, Bar: bar})
	}
	atLeast := func(limit float64) report.Bar { return report.Bar{Kind: report.RatioAtLeast, Limit: limit} }
	atMost := func(limit float64) report.Bar { return report.Bar{Kind: report.RatioAtMost, Limit: limit} }
	mb := func(limit float64) report.Bar { return report.Bar{Kind: report.AtMost, Limit: limit} }

	for _, t := range transfers() {
		add(t.key, t.title, report.Rate, atLeast(t.atLeast))
		list[len(list)-1].Floor = map[string]float64{report.Direct: quietDirect, report.Forward: quietForward}
	}
	add("ping50", "64 bytes and back, p50", report.Millis, atMost(pingAtMost))
	add("ping99", "64 bytes and back, p99", report.Millis, report.Bar{})
	add("connect50", "new connection + 1 byte, p50", report.Millis, atMost(connectAtMost))
	add("connects", "new connections", report.PerSecond, report.Bar{})
	add("loaded50", "64 bytes beside bulk, p50", report.Millis, atMost(loadedAtMost))
	add("loaded99", "64 bytes beside bulk, p99", report.Millis, report.Bar{})

	for _, d := range directions() {
		add("alone."+d.key, "healthy "+d.key+" alone", report.Rate, report.Bar{})
	}
	for _, stall := range []string{meter.Downloads, meter.Uploads} {
		for _, d := range directions() {
			add("beside."+stall+"."+d.key, "healthy "+d.key+" beside 20 stalled "+stall, report.Rate,
				report.Bar{Kind: report.RatioAtLeast, Limit: healthyAtLeast, Base: "alone." + d.key})
		}
		add("rss20."+stall, "session, 20 stalled "+stall, report.Megabytes, mb(session20))
		add("rss200."+stall, "session, 200 stalled "+stall, report.Megabytes, mb(session200))
	}

	add("agent.rest", "agent, intercept at rest", report.Megabytes, mb(agentIdle))
	add("agent.left", "agent, after load and leave", report.Megabytes, mb(agentIdle))

	for _, a := range attaches() {
		add(a.key, "add to first byte, "+a.title, report.Seconds, report.Bar{})
	}
	for _, a := range attaches() {
		add(a.key+".returns", "add returns, "+a.title, report.Seconds, report.Bar{})
	}

	for _, t := range transfers() {
		add("delay."+t.key, "API server 20 ms away: "+t.title, report.Rate, atLeast(delayedAtLeast))
	}
	add("delay.ping50", "API server 20 ms away: 64 bytes and back, p50", report.Millis, report.Bar{})
	add("delay.connect50", "API server 20 ms away: new connection + 1 byte, p50", report.Millis, report.Bar{})
	return slices.Concat(list, pastFigures(), webFigures(), outFigures(), viaFigures(), volumeFigures())
}

// directions of a healthy flow, one stream each.
func directions() []transfer {
	return []transfer{
		{key: "up", call: "upload", streams: "1"},
		{key: "down", call: "download", streams: "1"},
	}
}
