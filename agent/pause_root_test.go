//go:build rootful

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// consumer is process 1 of a PID namespace, as a container's process is. It works as long as
// it runs.
type consumer struct {
	t    *testing.T
	pid  int
	done string // a file that grows
}

func startConsumer(t *testing.T) *consumer {
	t.Helper()
	c := &consumer{t: t, done: filepath.Join(t.TempDir(), "done")}
	cmd := exec.Command("sh", "-c", `mount -t proc proc /proc && while :; do echo job >>"$0"; sleep 0.01; done`, c.done)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c.pid = cmd.Process.Pid
	c.works()
	return c
}

func (c *consumer) size() int64 {
	info, err := os.Stat(c.done)
	if err != nil {
		return 0
	}
	return info.Size()
}

// works waits until more is done.
func (c *consumer) works() {
	c.t.Helper()
	before := c.size()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c.size() > before {
			return
		}
	}
	c.t.Fatalf("the consumer does not work: it is %s", c.state())
}

// state is the line of /proc/PID/status.
func (c *consumer) state() string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", c.pid))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "State:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}

// pause has the container stopped or go on.
func (m *manager) pause(pauses ...*rpc.Pause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	generation := uint64(1)
	if m.cfg != nil {
		generation = m.cfg.Generation + 1
	}
	m.push(&rpc.AgentConfig{Generation: generation, Pauses: pauses})
}

// A container goes on when the manager says so, when the manager is gone for a while, and when
// the agent is killed.
func TestPause(t *testing.T) {
	m, c := startManager(newLab(t)), startConsumer(t)
	self, err := os.Executable()
	must(t, err)
	enter := exec.Command("nsenter", fmt.Sprintf("--target=%d", c.pid), "--pid", "--mount", self, "container")
	a := runAgent(m, enter, "AGENT_CONTAINER=app", "AGENT_CONTAINER_ID=containerd://"+strings.Repeat("0a", 32))
	stopped := func() {
		t.Helper()
		m.reported("the container is stopped", func(r *rpc.AgentReport) bool {
			return r.Container == "app" && len(r.Pauses) == 1 && r.Pauses[0].State == rpc.PortState_VERIFIED
		})
		if s := c.state(); !strings.HasPrefix(s, "t ") {
			t.Errorf("the process is %s", s)
		}
	}
	m.pause(&rpc.Pause{InterceptUid: "i"})
	stopped()
	m.pause()
	m.reported("nothing is stopped", func(r *rpc.AgentReport) bool { return len(r.Pauses) == 0 })
	c.works()

	m.pause(&rpc.Pause{InterceptUid: "i"})
	stopped()
	m.grpc.Stop()
	c.works()
	m.mu.Lock()
	m.report = nil
	m.mu.Unlock()
	m.serve()
	stopped()

	must(t, a.inside().Kill())
	c.works()
}

// inside is the agent, which nsenter has started as its child.
func (a *agent) inside() *os.Process {
	a.t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", a.cmd.Process.Pid))
	must(a.t, err)
	var pid int
	_, err = fmt.Sscan(string(children), &pid)
	must(a.t, err)
	p, err := os.FindProcess(pid)
	must(a.t, err)
	return p
}

// While the application is stopped, the agent answers its callers, and the kubelet's probes
// with success.
func TestStopped(t *testing.T) {
	l, m, _, _ := setup(t)
	l.application(":80")
	port := tcpPort(80)
	port.Routes[0].Mode, port.Stopped = rpc.Route_NOTHING, "alice replaces it"
	m.capture(port)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: l.caller.dialContext}}
	for agent, want := range map[string]int{"curl/8": 503, "kube-probe/1.36": 200} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+podIP+":80/healthz", nil)
		must(t, err)
		r.Header.Set("User-Agent", agent)
		answer, err := client.Do(r)
		must(t, err)
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != want || !strings.Contains(string(body), "alice replaces it") {
			t.Errorf("%s gets %s, %v: %s", agent, answer.Status, err, body)
		}
	}
	port = tcpPort(80)
	port.Routes[0].Mode = rpc.Route_NOTHING
	m.capture(port)
	l.caller.expect(podIP+":80", "app")
}
