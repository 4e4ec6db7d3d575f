//go:build rootful

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

func TestKilled(t *testing.T) {
	l, m, _, a := setup(t)
	l.application(":80")
	m.capture(tcpPort(80))
	live := l.caller.dial("tcp", podIP+":80")
	if got := ask(live, "x"); got != "laptop x" {
		t.Fatal(got)
	}
	must(t, a.cmd.Process.Kill())
	<-a.done
	if _, err := live.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the caller of a killed agent sees %v", err)
	}
	l.caller.expect(podIP+":80", "app")
	l.pod.expect(podIP+":80", "app")
	eventually(t, "no table", func() bool { tables, _ := l.pod.rules(); return tables == 0 })
}

func TestEnds(t *testing.T) {
	for name, end := range map[string]func(*manager, *agent){
		"signal":  func(_ *manager, a *agent) { a.cmd.Process.Signal(syscall.SIGTERM) },
		"manager": func(m *manager, _ *agent) { m.exit() },
	} {
		t.Run(name, func(t *testing.T) {
			l, m, _, a := setup(t)
			l.application(":80")
			m.capture(tcpPort(80))
			l.caller.expect(podIP+":80", "laptop")
			end(m, a)
			if code := a.exited(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			l.caller.expect(podIP+":80", "app")
			if tables, _ := l.pod.rules(); tables != 0 {
				t.Errorf("%d tables are left", tables)
			}
		})
	}
}

// A caller that waits for an answer is reset: once the table is gone, nothing that the
// agent sends would reach it.
func TestEndsUnderACaller(t *testing.T) {
	l, m, _, a := setup(t)
	ln := l.pod.listen(":80")
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close() // it says nothing
		}
	}()
	p := tcpPort(80)
	p.Routes[0].Relays = nil
	m.capture(p)
	c := l.caller.dial("tcp", podIP+":80")
	must(t, c.SetDeadline(time.Now().Add(lastFlows+20*time.Second)))
	_, err := c.Write([]byte("x"))
	must(t, err)
	m.reported("the connection", func(r *rpc.AgentReport) bool { return r.Routes[0].Fallbacks == 1 })
	must(t, a.cmd.Process.Signal(syscall.SIGTERM))
	if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the caller of an agent that ended sees %v", err)
	}
	if code := a.exited(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func (m *manager) exit() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.push(&rpc.AgentConfig{Generation: m.cfg.Generation + 1, Exit: true})
}

func TestManagerGoes(t *testing.T) {
	l, m, _, _ := setup(t)
	l.application(":80")
	m.capture(tcpPort(80))
	m.grpc.Stop()
	l.caller.expect(podIP+":80", "laptop")
	m.mu.Lock()
	m.report, m.version = nil, ""
	m.mu.Unlock()
	m.serve()
	m.reported("the agent is back", func(r *rpc.AgentReport) bool {
		return m.version != "" && r.Routes[0].Connections == 1 && r.Routes[0].State == rpc.PortState_VERIFIED
	})
	m.leave()
	l.caller.expect(podIP+":80", "app")
}

// The product was removed by force and installed again: the old agent leaves the pod
// to the new manager's.
func TestManagerReplaced(t *testing.T) {
	l, m, _, a := setup(t)
	l.application(":80")
	m.capture(tcpPort(80))
	m.grpc.Stop()
	startManager(l)
	if code := a.exited(); code != 0 {
		t.Errorf("exit code %d: %s", code, a.output())
	}
	if want := "the agent has no manager any more"; !strings.Contains(a.output(), want) {
		t.Errorf("no %q in %s", want, a.output())
	}
	l.caller.expect(podIP+":80", "app")
	if tables, _ := l.pod.rules(); tables != 0 {
		t.Errorf("%d tables are left", tables)
	}
}

func TestTokenRefused(t *testing.T) {
	l := newLab(t)
	m := startManager(l)
	a := startAgent(m, "AGENT_TOKEN=forged")
	if code := a.exited(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if want := "traffic-agent: enroll: the manager refused the agent's token: the token is used up"; !strings.Contains(a.output(), want) {
		t.Errorf("no %q in %s", want, a.output())
	}
}

// A port whose test connection does not arrive fails, says so, and is verified once
// the connection arrives.
func TestProofFails(t *testing.T) {
	l, m, _, _ := setup(t, "AGENT_POD_IPS=10.77.0.99")
	m.want(tcpPort(80))
	r := m.reported("failed", func(r *rpc.AgentReport) bool {
		return len(r.Routes) == 1 && r.Routes[0].State == rpc.PortState_FAILED
	})
	if got, want := r.Routes[0].Message, "the redirect of 80/TCP does not work: a test connection to 10.77.0.99:80: "; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	l.pod.do(func() { configure(t, "10.77.0.99/24") })
	m.reported("verified after all", func(r *rpc.AgentReport) bool {
		return r.Routes[0].State == rpc.PortState_VERIFIED
	})
}

// Without the pod's addresses the agent finds them itself.
func TestNoPodAddresses(t *testing.T) {
	l, m, _, _ := setup(t, "AGENT_POD_IPS=")
	m.capture(tcpPort(80))
	l.caller.expect(podIP+":80", "laptop")
}

// A second agent cannot take the table of the first, and says so.
func TestTwoAgents(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(":80")
	m.capture(tcpPort(80))
	a2 := startAgent(m)
	eventually(t, "the second agent complains", func() bool {
		return strings.Contains(a2.output(), "agent") && strings.Contains(a2.output(), "holds table kubectl-intercept") ||
			strings.Contains(a2.output(), "no other agent may hold table kubectl-intercept")
	})
	l.caller.expect(podIP+":80", "laptop")
	r.say(frame.Refused)
	l.caller.expect(podIP+":80", "app")
}
