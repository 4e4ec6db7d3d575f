//go:build rootful

package main

import (
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

type rpcReport = rpc.AgentReport

func TestCaptureAndLeave(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(":80")
	l.application(":81")
	if tables, rules := l.pod.rules(); tables+rules != 0 {
		t.Fatalf("idle agent has %d tables and %d rules", tables, rules)
	}
	l.caller.expect(podIP+":80", "app")

	m.capture(tcpPort(80))
	for _, host := range []string{podIP, "[" + podIP6 + "]"} {
		l.caller.expect(host+":80", "laptop") // the wire
		l.pod.expect(host+":80", "laptop")    // the loopback leg
		l.caller.expect(host+":81", "app")
	}
	l.pod.expect("127.0.0.1:80", "laptop")
	l.pod.expect("[::1]:80", "laptop")
	if n := len(r.seen()); n != 6 {
		t.Errorf("the laptop saw %d connections, want 6: probes must not reach it", n)
	}
	o := r.seen()[0]
	if o.Intercept != "shop/web" || o.InterceptUID != "icept-1" || o.Session != "alice" ||
		o.Port != 80 || o.Protocol != frame.TCP || o.Source.Addr().String() != callerIP {
		t.Errorf("open frame: %+v", o)
	}
	rep := m.reported("counters", func(r *rpc.AgentReport) bool { return r.Routes[0].Connections == 6 })
	// "hello\n" in, "laptop hello\n" out and, after the end, "laptop heard 6\n".
	if p := rep.Routes[0]; p.BytesIn != 36 || p.BytesOut < 6*13 || p.Fallbacks != 0 || p.LastConnection == 0 || p.InterceptUid != "icept-1" {
		t.Errorf("report: %v", p)
	}

	m.leave()
	l.caller.expect(podIP+":80", "app")
	if _, rules := l.pod.rules(); rules != 0 {
		t.Errorf("%d rules after leave", rules)
	}
	eventually(t, "no table after leave", func() bool { tables, _ := l.pod.rules(); return tables == 0 })
	l.caller.expect(podIP+":80", "app")
}

// Of two routes of one port, the first takes what comes, and the second when the
// first has left.
func TestTwoRoutes(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(":80")
	second := &rpc.Route{Intercept: "shop/web2", InterceptUid: "icept-2", Session: "bob", Relays: []string{relayAddr}}
	both, one := tcpPort(80), tcpPort(80)
	both.Routes = append(both.Routes, second)
	one.Routes = []*rpc.Route{second}
	session := func(want string) {
		t.Helper()
		l.caller.expect(podIP+":80", "laptop")
		seen := r.seen()
		if got := seen[len(seen)-1].Session; got != want {
			t.Errorf("the session of %q has the connection, not of %q", got, want)
		}
	}
	counted := func(want ...uint64) {
		t.Helper()
		m.reported("counters of each route", func(r *rpc.AgentReport) bool {
			return slices.EqualFunc(r.Routes, want, func(p *rpc.RouteReport, n uint64) bool {
				return p.State == rpc.PortState_VERIFIED && p.Connections == n
			})
		})
	}
	m.want(both)
	counted(0, 0)
	session("alice")
	counted(1, 0)
	m.want(one)
	counted(0)
	session("bob")
	counted(1)
}
