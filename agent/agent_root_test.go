//go:build rootful

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain is the agent itself where a test started this binary as one.
func TestMain(m *testing.M) {
	if os.Getenv("AGENT_TEST_CHILD") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// agent is a running traffic-agent.
type agent struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// Write implements io.Writer for the agent's standard error.
func (a *agent) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.Write(p)
}

func (a *agent) output() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

func startAgent(m *manager, more ...string) *agent {
	m.t.Helper()
	a := &agent{t: m.t, done: make(chan struct{})}
	a.cmd = exec.Command("/proc/self/exe")
	if path := os.Getenv("AGENT_TEST_BINARY"); path != "" {
		a.cmd = exec.Command(path)
	}
	a.cmd.Env = append([]string{
		"AGENT_TEST_CHILD=1", "AGENT_MANAGER=" + managerAddr, "AGENT_SERVER_NAME=" + serverName,
		"AGENT_CA=" + m.bundle(), "AGENT_TOKEN=" + token, "AGENT_POD=web-0", "AGENT_POD_UID=uid-0",
		"AGENT_NAMESPACE=shop", "AGENT_POD_IPS=" + podIP + "," + podIP6, "AGENT_LOG_LEVEL=debug",
	}, more...)
	a.cmd.Stderr = a
	m.lab.pod.do(func() { must(m.t, a.cmd.Start()) })
	go func() { a.cmd.Wait(); close(a.done) }()
	m.t.Cleanup(func() {
		a.cmd.Process.Kill()
		<-a.done
		if strings.Contains(a.output(), "DATA RACE") {
			m.t.Error("the agent has a data race")
		}
		if m.t.Failed() {
			m.t.Logf("agent:\n%s", a.output())
		}
	})
	return a
}

// exited waits for the agent's end and returns its exit code.
func (a *agent) exited() int {
	a.t.Helper()
	select {
	case <-a.done:
	case <-time.After(patience + managerOther + lastFlows):
		a.t.Fatal("the agent does not end")
	}
	return a.cmd.ProcessState.ExitCode()
}

// talk answers lines with a name in front of them until the peer ends, and then
// says how much it heard: only a peer that closed one direction hears that.
func talk(c interface {
	io.ReadWriter
	CloseWrite() error
}, name, first string) {
	in := bufio.NewReader(io.MultiReader(strings.NewReader(first), c))
	heard := 0
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			fmt.Fprintf(c, "%s heard %d\n", name, heard)
			c.CloseWrite()
			return
		}
		if err != nil {
			return
		}
		heard += len(line)
		if _, err := fmt.Fprintf(c, "%s %s", name, line); err != nil {
			return
		}
	}
}

// application answers at addr in the pod.
func (l *lab) application(addr string) {
	l.t.Helper()
	ln := l.pod.listen(addr)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.t.Cleanup(func() { c.Close() })
			go func() {
				talk(c.(*net.TCPConn), "app", "")
				io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
}

// ask sends a line and returns the answer, or the error as text.
func ask(c net.Conn, line string) string {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return err.Error()
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(answer)
}

// expect dials addr and wants the answer of the peer with this name.
func (s *space) expect(addr, who string) {
	s.t.Helper()
	c := s.dial("tcp", addr)
	defer c.Close()
	if got, want := ask(c, "hello"), who+" hello"; got != want {
		s.t.Fatalf("connection to %s: %q, want %q", addr, got, want)
	}
}

// setup is a lab with everything running.
func setup(t *testing.T, more ...string) (*lab, *manager, *fakeRelay, *agent) {
	t.Helper()
	l := newLab(t)
	m := startManager(l)
	r := startRelay(m)
	a := startAgent(m, more...)
	m.want()
	m.reported("a first report", func(r2 *rpcReport) bool { return true })
	return l, m, r, a
}
