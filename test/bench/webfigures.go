package main

import (
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/web"
)

// webPrefix is what the keys of figures about HTTP requests begin with.
const webPrefix = "web."

// webField is the field by whose value a personal intercept knows its requests.
const webField = "x-bench"

// webLoad is a kind of requests: many at a time, by which the rate is measured. One at a
// time, by which the latency is measured, is the same with one connection and one stream.
type webLoad struct {
	key, title string
	load       web.Load
	bar        float64 // of the rate, times direct
}

func webLoads() []webLoad {
	const small, large = 1 << 10, 1 << 20
	const many, few = 16, 4 // connections
	h1 := web.Load{Protocol: web.HTTP1, Connections: many, Streams: 1, Size: small, Field: webField}
	h1Large := h1
	h1Large.Connections, h1Large.Size = few, large
	post := func(l web.Load) web.Load { l.Post = true; return l }
	fresh := func(l web.Load) web.Load { l.Fresh = true; return l }
	h2 := web.Load{Protocol: web.HTTP2, Connections: 1, Streams: 100, Size: small, Field: webField}
	h2Large := h2
	h2Large.Size = large
	grpc := h2
	grpc.Protocol = web.GRPC
	return []webLoad{
		{"h1.small", "h1 keep-alive, GET 1 KiB", h1, 0.6},
		{"h1.post", "h1 keep-alive, POST 1 KiB", post(h1), 0},
		{"h1.large", "h1 keep-alive, GET 1 MiB", h1Large, 0.8},
		{"h1.postlarge", "h1 keep-alive, POST 1 MiB", post(h1Large), 0.8},
		{"h1.fresh", "h1 new connections, GET 1 KiB", fresh(h1), 0},
		{"h1.freshlarge", "h1 new connections, GET 1 MiB", fresh(h1Large), 0},
		{"h2.small", "h2 100 streams, GET 1 KiB", h2, 0},
		{"h2.large", "h2 100 streams, GET 1 MiB", h2Large, 0.8},
		{"grpc", "gRPC 100 streams, unary 1 KiB", grpc, 0},
	}
}

// single returns the load of one request at a time.
func (l webLoad) single() web.Load {
	one := l.load
	one.Connections, one.Streams = 1, 1
	return one
}

func webTitles() []string {
	var titles []string
	for _, l := range webLoads() {
		titles = append(titles, l.title)
	}
	return titles
}

// Limits for figures about requests.
const (
	webAdded     = 0.15 // ms at p50, more than direct
	costAtMost   = 1.3  // of many intercepts, times that of one
	webIdleLimit = 20   // MB above rest
	webIdleCount = 1000 // connections
)

// intercepts are the counts of personal intercepts with which the agent's costs are
// measured.
func intercepts() []int { return []int{0, 1, 50, 250} }

func webFigures() []report.Figure {
	var list []report.Figure
	add := func(key, title string, unit report.Unit, bar report.Bar) {
		if bar.Against == "" {
			bar.Against = report.Direct
		}
		list = append(list, report.Figure{Key: webPrefix + key, Title: title, Unit: unit, Bar: bar, Column: report.Unmatched})
	}
	for _, l := range webLoads() {
		var rate, added report.Bar
		if l.bar > 0 {
			rate = report.Bar{Kind: report.RatioAtLeast, Limit: l.bar}
		}
		if l.key == "h1.small" {
			added = report.Bar{Kind: report.AddedAtMost, Limit: webAdded}
		}
		add(l.key, l.title, report.PerSecond, rate)
		if l.key == "h1.small" {
			add(l.key+".nginx", "the same, compared with nginx", report.PerSecond,
				report.Bar{Kind: report.RatioAtLeast, Limit: 1, Against: report.Nginx})
		}
		add(l.key+".50", "  one at a time, p50", report.Millis, added)
		add(l.key+".99", "  one at a time, p99", report.Millis, report.Bar{})
	}
	for _, n := range intercepts() {
		var bar report.Bar
		if n == 250 {
			bar = report.Bar{Kind: report.RatioAtMost, Limit: costAtMost, Base: webPrefix + costKey(1)}
		}
		add(costKey(n), fmt.Sprintf("agent's CPU per request, %d intercepts", n), report.Micros, bar)
	}
	for _, n := range intercepts() {
		add(restKey(n), fmt.Sprintf("agent's memory, %d intercepts", n), report.Megabytes, report.Bar{})
	}
	add("idle", fmt.Sprintf("agent, %d idle connections, above rest", webIdleCount), report.Megabytes,
		report.Bar{Kind: report.AtMost, Limit: webIdleLimit})
	add("idle.h2", fmt.Sprintf("agent, %d idle h2 connections, above rest", webIdleCount), report.Megabytes, report.Bar{})
	return list
}

func costKey(intercepts int) string { return fmt.Sprintf("cost%d", intercepts) }

func restKey(intercepts int) string { return fmt.Sprintf("rest%d", intercepts) }
