//go:build rootful

package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

func TestOpenBefore(t *testing.T) {
	l, m, _, _ := setup(t)
	l.application(":80")
	l.application(":81")
	for _, host := range []string{podIP, "[" + podIP6 + "]"} {
		before := l.caller.dial("tcp", host+":80")
		fromInside := l.pod.dial("tcp", host+":80")
		kept := l.caller.dial("tcp", host+":81")
		for _, c := range []net.Conn{before, fromInside, kept} {
			if got := ask(c, "one"); got != "app one" {
				t.Fatal(got)
			}
		}
		keep := tcpPort(81)
		keep.KeepEstablished = true
		m.capture(tcpPort(80), keep)
		for name, c := range map[string]net.Conn{"wire": before, "loopback": fromInside} {
			if got := ask(c, "two"); !strings.Contains(got, "reset by peer") {
				t.Errorf("%s, %s: open connection goes on: %q", host, name, got)
			}
		}
		if got := ask(kept, "two"); got != "app two" {
			t.Errorf("%s: kept connection: %q", host, got)
		}
		l.caller.expect(host+":81", "laptop")
		l.caller.expect(host+":80", "laptop")
		m.leave()
		if got := ask(kept, "three"); got != "app three" {
			t.Errorf("%s: kept connection after leave: %q", host, got)
		}
	}
}

// The kubelet's probes that are under way are not reset, since one may restart a container.
func TestOpenBeforeByKubelet(t *testing.T) {
	l, m, _, _ := setup(t)
	l.application(":80")
	l.application(":81")
	probed, other := tcpPort(80), tcpPort(81)
	probed.Probes = []*rpc.Probe{{Kind: rpc.Probe_HTTP, Target: "/healthz"}}
	probes, callers := map[string]net.Conn{}, map[string]net.Conn{}
	for _, host := range []string{callerIP, callerIP6} {
		probed.NodeAddresses = append(probed.NodeAddresses, host)
		other.NodeAddresses = append(other.NodeAddresses, host)
	}
	for _, host := range []string{podIP, "[" + podIP6 + "]"} {
		probes[host], callers[host] = l.caller.dial("tcp", host+":80"), l.caller.dial("tcp", host+":81")
	}
	spares(t, probes, callers, func() { m.want(probed, other) })
	for host := range probes {
		l.caller.expect(host+":80", "laptop")
	}
}

// spares says that callers, which are open connections to the application, are reset once
// capture has sent a configuration, and probes not before a probe would have ended.
func spares(t *testing.T, probes, callers map[string]net.Conn, capture func()) {
	t.Helper()
	for _, conns := range []map[string]net.Conn{probes, callers} {
		for host, c := range conns {
			if got := ask(c, "before"); got != "app before" {
				t.Fatal(host, got)
			}
		}
	}
	reset := func(c net.Conn) func() bool {
		return func() bool { return strings.Contains(ask(c, "later"), "reset by peer") }
	}
	capture()
	for host, c := range callers {
		eventually(t, host+": a caller is reset", reset(c))
	}
	for host, c := range probes {
		if got := ask(c, "after"); got != "app after" {
			t.Errorf("%s: a probe under way: %q", host, got)
		}
	}
	for host, c := range probes {
		eventually(t, host+": the connection ends after the time of a probe", reset(c))
	}
}

// The application sends and the caller only listens. Conntrack may be at work already,
// because another port is captured.
func TestOpenBeforeApplicationSpeaksFirst(t *testing.T) {
	for _, tracked := range []bool{false, true} {
		t.Run(fmt.Sprintf("tracked=%v", tracked), func(t *testing.T) {
			l, m, _, _ := setup(t)
			ln := l.pod.listen(":80")
			conns := make(chan net.Conn, 1)
			go func() {
				c, err := ln.Accept()
				if err == nil {
					conns <- c
				}
			}()
			caller := l.caller.dial("tcp", podIP+":80")
			application := <-conns
			defer application.Close()
			if tracked {
				m.capture(tcpPort(81))
			}
			in := bufio.NewReader(caller)
			fmt.Fprintln(application, "one")
			if line, err := in.ReadString('\n'); line != "one\n" {
				t.Fatal(line, err)
			}
			if tracked {
				m.capture(tcpPort(81), tcpPort(80))
			} else {
				m.capture(tcpPort(80))
			}
			// A side that only listens gets its answer and is reset then, and so is
			// one that goes on sending.
			fmt.Fprintln(application, "two")
			if line, err := in.ReadString('\n'); line != "two\n" {
				t.Error(line, err)
			}
			eventually(t, "the application's connection ends", func() bool {
				_, err := fmt.Fprintln(application, "three")
				return err != nil
			})
			var err error
			for err == nil {
				_, err = in.ReadString('\n')
			}
			if !strings.Contains(err.Error(), "reset by peer") {
				t.Errorf("the caller's connection ends with %v", err)
			}
		})
	}
}

// Ports come and go without disturbing each other.
func TestOtherPortsAreNotDisturbed(t *testing.T) {
	l, m, _, _ := setup(t)
	l.application(":80")
	l.application(":81")
	m.capture(tcpPort(80))
	live := l.caller.dial("tcp", podIP+":80")
	say := func(want string) {
		t.Helper()
		if got := ask(live, "x"); got != want+" x" {
			t.Fatalf("live connection: %q", got)
		}
	}
	say("laptop")
	m.capture(tcpPort(80), tcpPort(81))
	say("laptop")
	l.caller.expect(podIP+":81", "laptop")
	m.capture(tcpPort(80))
	say("laptop")
	l.caller.expect(podIP+":81", "app")
	// Another relay, or none for a while, is no reason either.
	p := tcpPort(80)
	p.Routes[0].Relays = nil
	m.capture(p)
	say("laptop")
	l.caller.expect(podIP+":80", "app")
	// Another session is.
	p = tcpPort(80)
	p.Routes[0].Session = "bob"
	m.capture(p)
	if got := ask(live, "x"); !strings.Contains(got, "reset by peer") {
		t.Errorf("the old session's connection: %q", got)
	}
	l.caller.expect(podIP+":80", "laptop")
}

// A caller that dials the agent's own port is not served.
func TestAgentPortIsClosed(t *testing.T) {
	l, m, r, a := setup(t)
	l.application(":80")
	m.capture(tcpPort(80))
	ports := listeningPorts(t, a.cmd.Process.Pid)
	if len(ports) == 0 {
		t.Fatal("no listening port found")
	}
	for _, p := range ports {
		if p == 80 {
			continue
		}
		c, err := l.caller.tryDial("tcp", fmt.Sprintf("%s:%d", podIP, p))
		if err == nil {
			t.Errorf("port %d is open: %q", p, ask(c, "hello"))
		}
	}
	if n := len(r.seen()); n != 0 {
		t.Errorf("%d connections reached the laptop", n)
	}
}
