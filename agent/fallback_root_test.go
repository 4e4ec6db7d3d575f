//go:build rootful

package main

import (
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// The application answers whatever fails on the way to the laptop. How long
// callers wait for that is TestOpenPassesByWhatFails, in simulated time.
func TestFallback(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(podIP + ":80") // listens at the pod's address alone
	verdict := func(v frame.Verdict) func(*rpc.Route) { return func(*rpc.Route) { r.say(v) } }
	cases := []struct {
		name  string
		ready func(*rpc.Route)
	}{
		{"refused", verdict(frame.Refused)},
		{"no session", verdict(frame.NoSession)},
		{"denied", verdict(frame.Denied)},
		{"relay is silent", func(*rpc.Route) {
			r.set(func(*frame.Open) (frame.Verdict, bool) { return 0, false }, nil)
		}},
		{"relay is gone", func(r *rpc.Route) { r.Relays = []string{callerIP + ":8444"} }},
		{"relay drops packets", func(r *rpc.Route) { r.Relays = []string{"10.77.0.9:8443"} }},
		{"laptop is away", func(r *rpc.Route) { r.Relays = nil }},
	}
	fallbacks := uint64(0)
	for _, c := range cases {
		p := tcpPort(80)
		c.ready(p.Routes[0])
		m.capture(p)
		// The first bytes were read for the laptop: ask proves their replay.
		for range 6 {
			l.caller.expect(podIP+":80", "app")
		}
		fallbacks += 6
		m.reported(c.name+" is counted", func(r *rpc.AgentReport) bool {
			return r.Routes[0].Fallbacks == fallbacks && r.Routes[0].Connections == fallbacks
		})
		if len(p.Routes[0].Relays) == 0 {
			continue
		}
		p.Routes[0].NoFallback = true
		m.capture(p)
		if got := l.askOnce("hello"); !strings.Contains(got, "reset by peer") {
			t.Errorf("%s, no fallback: %q", c.name, got)
		}
		m.leave() // begins the counters anew
		fallbacks = 0
	}
	r.say(frame.Accepted)
	m.capture(tcpPort(80))
	eventually(t, "the laptop answers again", func() bool {
		return ask(l.caller.dial("tcp", podIP+":80"), "x") == "laptop x"
	})
}

// Where the application does not listen, the caller sees the same as without an
// agent.
func TestNobodyListens(t *testing.T) {
	l, m, r, _ := setup(t)
	r.say(frame.Refused)
	m.capture(tcpPort(80))
	if got := l.askOnce("hello"); !strings.Contains(got, "reset by peer") {
		t.Errorf("got %q", got)
	}
}

// askOnce is ask on a new connection, which may break at any time.
func (l *lab) askOnce(line string) string {
	c, err := l.caller.tryDial("tcp", podIP+":80")
	if err != nil {
		return err.Error()
	}
	return ask(c, line)
}

func TestHTTPProbes(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(":80")
	p := tcpPort(80)
	p.Probes = []*rpc.Probe{{Kind: rpc.Probe_HTTP}}
	m.capture(p)
	probe := "GET /healthz HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-probe/1.36\r\n\r\n"
	if got := ask(l.caller.dial("tcp", podIP+":80"), probe); got != "app GET /healthz HTTP/1.1" {
		t.Errorf("probe: %q", got)
	}
	other := strings.Replace(probe, "kube-probe/1.36", "curl/8", 1)
	if got := ask(l.caller.dial("tcp", podIP+":80"), other); got != "laptop GET /healthz HTTP/1.1" {
		t.Errorf("request: %q", got)
	}
	late := l.caller.dial("tcp", podIP+":80")
	eventually(t, "a silent connection reaches the laptop", func() bool { return len(r.seen()) == 2 })
	if got := ask(late, "SSH-2.0"); got != "laptop SSH-2.0" {
		t.Errorf("silent connection: %q", got)
	}
	m.reported("two connections", func(r *rpc.AgentReport) bool { return r.Routes[0].Connections == 2 })
}
