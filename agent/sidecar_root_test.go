//go:build rootful

package main

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// layoutJSON has a port that the agent has the name of, and two behind the
// redirect.
const layoutJSON = `{"uid":65431,"ports":[
	{"name":"http","number":80,"protocol":"TCP","agent":9900},
	{"number":81,"protocol":"TCP","agent":9901,"redirect":true},
	{"number":53,"protocol":"UDP","agent":9902,"redirect":true}]}`

// setupSidecar is setup with an agent that its pod was made with: an init container
// has set the redirect, and the agent runs as a user without privilege.
func setupSidecar(t *testing.T) (*lab, *manager, *fakeRelay, *agent) {
	t.Helper()
	l := newLab(t)
	m := startManager(l)
	r := startRelay(m)
	init := exec.Command("/proc/self/exe", "redirect")
	init.Env = []string{"AGENT_TEST_CHILD=1", "AGENT_SIDECAR=" + layoutJSON, "AGENT_NODE_IPS=" + callerIP + "," + callerIP6}
	l.pod.do(func() {
		if out, err := init.CombinedOutput(); err != nil {
			t.Fatalf("redirect: %v: %s", err, out)
		}
	})
	l.application(":80")
	l.application(":81")
	l.caller.expect(podIP+":81", "app") // there is no agent yet
	a := &agent{t: t, done: make(chan struct{})}
	a.cmd = exec.Command("/proc/self/exe", "sidecar")
	a.cmd.Env = []string{"AGENT_TEST_CHILD=1", "AGENT_SIDECAR=" + layoutJSON, "AGENT_MANAGER=" + managerAddr, "AGENT_SERVER_NAME=" + serverName,
		"AGENT_CA=" + m.bundle(), "AGENT_TOKEN=" + token, "AGENT_POD=web-0", "AGENT_POD_UID=uid-0",
		"AGENT_NAMESPACE=shop", "AGENT_POD_IPS=" + podIP + "," + podIP6, "AGENT_LOG_LEVEL=debug"}
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65431, Gid: 65431}}
	a.cmd.Stderr = a
	l.pod.do(func() { must(t, a.cmd.Start()) })
	go func() { a.cmd.Wait(); close(a.done) }()
	t.Cleanup(func() {
		a.cmd.Process.Kill()
		<-a.done
		if strings.Contains(a.output(), "DATA RACE") {
			t.Error("the agent has a data race")
		}
		if t.Failed() {
			t.Logf("agent:\n%s", a.output())
		}
	})
	m.want()
	m.reported("a first report", func(r *rpcReport) bool { return r.Sidecar })
	return l, m, r, a
}

// TestSidecarPasses: what is not intercepted reaches the application; by number
// the agent is not even in the path.
func TestSidecarPasses(t *testing.T) {
	l, m, r, _ := setupSidecar(t)
	l.caller.expect(podIP+":9900", "app")       // a caller that uses the name
	l.caller.expect("["+podIP6+"]:9900", "app") //
	l.caller.expect(podIP+":80", "app")         // a caller that knows the number
	l.caller.expect(podIP+":81", "app")
	if c, err := l.caller.tryDial("tcp", podIP+":9901"); err == nil {
		t.Errorf("the agent's own port serves: %s", ask(c, "hello"))
	}
	m.capture(tcpPort(80), tcpPort(81))
	for _, host := range []string{podIP, "[" + podIP6 + "]"} {
		l.caller.expect(host+":9900", "laptop")
		l.caller.expect(host+":81", "laptop")
		l.pod.expect(host+":81", "laptop")
		l.caller.expect(host+":80", "app")
	}
	if n := len(r.seen()); n != 6 {
		t.Errorf("the laptop saw %d connections, want 6: probes must not reach it", n)
	}
	m.leave()
	l.caller.expect(podIP+":9900", "app")
	l.caller.expect(podIP+":81", "app")
}

// TestSidecarStepsAside: without an agent the redirect of a port is not in force,
// neither if the port was never captured nor if it was.
func TestSidecarStepsAside(t *testing.T) {
	l, m, _, a := setupSidecar(t)
	m.capture(tcpPort(81))
	l.caller.expect(podIP+":81", "laptop")
	a.cmd.Process.Kill()
	<-a.done
	eventually(t, "the application answers", func() bool {
		c, err := l.caller.tryDial("tcp", podIP+":81")
		if err != nil {
			return false
		}
		defer c.Close()
		return ask(c, "hello") == "app hello"
	})
}

// TestSidecarEstablished: connections from before are reset, unless they are to be
// kept.
func TestSidecarEstablished(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep=%t", keep), func(t *testing.T) {
			l, m, _, _ := setupSidecar(t)
			named, numbered := l.caller.dial("tcp", podIP+":9900"), l.caller.dial("tcp", podIP+":81")
			for _, c := range []net.Conn{named, numbered} {
				if got := ask(c, "before"); got != "app before" {
					t.Fatal(got)
				}
			}
			p, q := tcpPort(80), tcpPort(81)
			p.KeepEstablished, q.KeepEstablished = keep, keep
			m.capture(p, q)
			for name, c := range map[string]net.Conn{"by name": named, "by number": numbered} {
				eventually(t, name, func() bool { return (ask(c, "after") == "app after") == keep })
			}
			l.caller.expect(podIP+":9900", "laptop")
			l.caller.expect(podIP+":81", "laptop")
		})
	}
}

// TestSidecarEstablishedByKubelet: the kubelet's probes that are under way are not reset at
// once.
func TestSidecarEstablishedByKubelet(t *testing.T) {
	l, m, _, _ := setupSidecar(t)
	probes, callers := map[string]net.Conn{}, map[string]net.Conn{}
	for _, host := range []string{podIP, "[" + podIP6 + "]"} {
		probes[host], callers[host] = l.caller.dial("tcp", host+":81"), l.pod.dial("tcp", host+":81")
	}
	p := tcpPort(81)
	p.Probes = []*rpc.Probe{{Kind: rpc.Probe_HTTP, Target: "/healthz"}}
	spares(t, probes, callers, func() { m.want(p) })
}

// TestSidecarUDP: datagrams always pass the agent, and reach the application where
// nothing is intercepted.
func TestSidecarUDP(t *testing.T) {
	l, m, r, _ := setupSidecar(t)
	r.set(nil, serveDatagrams)
	l.datagramApp(":53")
	c := l.caller.dial("udp", podIP+":53")
	say := func(want string) {
		t.Helper()
		eventually(t, want, func() bool {
			fmt.Fprint(c, "hello")
			c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			return err == nil && string(buf[:n]) == want
		})
	}
	say("app hello")
	m.capture(udpPort(53))
	say("laptop hello")
	m.leave()
	say("app hello")
}

// TestSidecarProbes: the kubelet's requests stay with the application.
func TestSidecarProbes(t *testing.T) {
	l, m, _, _ := setupSidecar(t)
	p := tcpPort(81)
	p.Probes = []*rpc.Probe{{Kind: rpc.Probe_HTTP}}
	m.capture(p)
	for agent, who := range map[string]string{"kube-probe/1.36": "app", "curl/8": "laptop"} {
		c := l.caller.dial("tcp", podIP+":81")
		if got := ask(c, "GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: "+agent+"\r\n\r"); got != who+" GET / HTTP/1.1" {
			t.Errorf("%s is answered %q", agent, got)
		}
	}
	l.caller.expect(podIP+":81", "laptop")
}
