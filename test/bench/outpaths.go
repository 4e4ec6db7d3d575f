package main

import (
	"context"
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// outTransport is a transport between the session and the manager. Only the figures of
// the first transport have limits. The other one is for clusters in which the first is
// not allowed.
type outTransport struct{ name, key, title string }

func outTransports() []outTransport {
	return []outTransport{
		{"service-proxy", "", ""},
		{"port-forward", "pf.", " by port-forward"},
	}
}

// outKind is how programs on the laptop reach the session.
type outKind struct {
	key, title string
	socks      string
	atLeast    map[string]float64 // times port-forward, by transfer
	ping       float64            // at most
	connect    float64            // at most
}

func outKinds() []outKind {
	return []outKind{
		{"tun.", "TUN", "", map[string]float64{"up1": 1.25, "down1": 1.0, "up4": 1.7, "down4": 1.3}, 1.1, 0.7},
		{"proxy.", "proxy", "127.0.0.1:" + proxyPort, map[string]float64{"up1": 1.25, "down1": 1.1, "up4": 1.8, "down4": 1.5}, 1.0, 0.5},
	}
}

func (k outKind) path(b *bench, addr string) path {
	return path{column: report.Outbound, in: b.lab.laptop, addr: addr, socks: k.socks}
}

// outTransfers are those of the other table and some on many streams.
func outTransfers() []transfer {
	return append(transfers(),
		transfer{key: "up32", title: "up, 32 streams", call: "upload", streams: "32"},
		transfer{key: "down32", title: "down, 32 streams", call: "download", streams: "32"})
}

func outTitles() []string {
	var titles []string
	for _, t := range outTransfers() {
		titles = append(titles, t.title)
	}
	return titles
}

// Limits in the outbound table that are not relative to port-forward.
const (
	namesAtLeast   = 5000 // per second
	nameAtMost     = 2    // round trips
	idleAtMost     = 60   // MB above rest
	aloneAtLeast   = 0.3  // times the loopback
	aloneFloor     = 10   // Gbit/s, on a machine
	aloneLoopback  = 30   // whose loopback has as much
	idleFlows      = 1000
	unreadFlows    = 20
	namesAtOnce    = 8
	uncachedNames  = 500
	nameToResolve  = "plain.default.svc.cluster.local"
	podDomain      = "default.pod.cluster.local"
	outboundPrefix = "out."
)

// outFigures are the lines of the outbound table.
func outFigures() []report.Figure {
	var list []report.Figure
	add := func(key, title string, unit report.Unit, bar report.Bar) {
		list = append(list, report.Figure{Key: outboundPrefix + key, Title: title, Unit: unit, Bar: bar, Column: report.Outbound})
	}
	ratio := func(kind report.Kind, limit float64, tr outTransport) report.Bar {
		if limit == 0 || tr.key != "" {
			return report.Bar{}
		}
		return report.Bar{Kind: kind, Limit: limit}
	}
	for _, tr := range outTransports() {
		for _, k := range outKinds() {
			key, title := tr.key+k.key, k.title+tr.title+": "
			for _, t := range outTransfers() {
				add(key+t.key, title+t.title, report.Rate, ratio(report.RatioAtLeast, k.atLeast[t.key], tr))
				if tr.key == "" && k.atLeast[t.key] > 0 {
					list[len(list)-1].Floor = map[string]float64{report.Direct: quietDirect, report.Forward: quietForward}
				}
			}
			add(key+"ping50", title+"64 bytes and back, p50", report.Millis, ratio(report.RatioAtMost, k.ping, tr))
			add(key+"ping99", title+"64 bytes and back, p99", report.Millis, report.Bar{})
			add(key+"connect50", title+"new connection + 1 byte, p50", report.Millis, ratio(report.RatioAtMost, k.connect, tr))
			add(key+"pod.connect50", title+"the same, to the pod's address", report.Millis, ratio(report.RatioAtMost, k.connect, tr))
			add(key+"connects", title+"new connections", report.PerSecond, report.Bar{})
		}
	}
	add("names", "DNS: answers from memory", report.PerSecond, report.Bar{Kind: report.AtLeast, Limit: namesAtLeast})
	add("name.ping", "DNS: 64 bytes and back beside it, p50", report.Millis, report.Bar{})
	add("name50", "DNS: a name of the cluster, p50", report.Millis,
		report.Bar{Kind: report.RatioAtMost, Limit: nameAtMost, Base: outboundPrefix + "name.ping"})
	add("name99", "DNS: a name of the cluster, p99", report.Millis, report.Bar{})
	for _, k := range outKinds() {
		add(k.key+"starts", k.title+": connect, no session", report.Seconds, report.Bar{})
		add(k.key+"warm", k.title+": connect, session there", report.Seconds, report.Bar{})
		add(k.key+"rest", k.title+": session at rest", report.Megabytes, report.Bar{})
		add(k.key+"idle", fmt.Sprintf("%s: session, %d idle connections, above rest", k.title, idleFlows), report.Megabytes,
			report.Bar{Kind: report.AtMost, Limit: idleAtMost})
		add(k.key+"unread", fmt.Sprintf("%s: session, %d stalled downloads", k.title, unreadFlows), report.Megabytes, report.Bar{})
	}
	for _, a := range aloneFigures() {
		add(a.key, a.title, a.unit, a.bar)
	}
	return list
}

// reconnect ends the session and connects anew, by TUN and by proxy.
func (b *bench) reconnect(ctx context.Context, tr outTransport) error {
	if err := b.drop(ctx); err != nil {
		return err
	}
	if err := b.lab.endSessions(ctx); err != nil {
		return err
	}
	for _, k := range outKinds() {
		if _, err := b.lab.connect(ctx, k.flags(tr)...); err != nil {
			return fmt.Errorf("%s%s: %w", k.title, tr.title, err)
		}
	}
	return nil
}

// flags of connect.
func (k outKind) flags(tr outTransport) []string {
	flags := []string{"--transport=" + tr.name}
	if k.socks != "" {
		flags = append(flags, "--proxy="+k.socks)
	}
	return flags
}
