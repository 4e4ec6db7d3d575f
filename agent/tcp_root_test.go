//go:build rootful

package main

import (
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
	rep := m.reported("counters", func(r *rpc.AgentReport) bool { return r.Ports[0].Connections == 6 })
	// "hello\n" in, "laptop hello\n" out and, after the end, "laptop heard 6\n".
	if p := rep.Ports[0]; p.BytesIn != 36 || p.BytesOut < 6*13 || p.Fallbacks != 0 || p.LastConnection == 0 || p.InterceptUid != "icept-1" {
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
