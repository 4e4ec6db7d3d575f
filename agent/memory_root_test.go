//go:build rootful

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// The budget of an agent that has nothing to do, and of its image.
const (
	maxIdleKB = 20 << 10
	maxBinary = 20 << 20
)

func TestIdleMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "traffic-agent")
	build := exec.Command("go", "build", "-trimpath", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(path)
	must(t, err)
	t.Logf("binary: %.1f MB", float64(info.Size())/1e6)
	if info.Size() > maxBinary {
		t.Errorf("binary of %d bytes", info.Size())
	}
	t.Setenv("AGENT_TEST_BINARY", path)
	l, m, _, a := setup(t)
	check := func(when string, limit int) {
		t.Helper()
		kb := residentKB(t, a.cmd.Process.Pid)
		t.Logf("%s: %.1f MB resident", when, float64(kb)/1e3)
		if kb > limit {
			t.Errorf("%s: %d KB resident, limit %d", when, kb, limit)
		}
	}
	check("idle", maxIdleKB)
	m.capture(tcpPort(80), udpPort(53))
	check("two ports captured, no connections", maxIdleKB)
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() { l.caller.expect(podIP+":80", "laptop") })
	}
	wg.Wait()
	check("after 500 connections at once", 4*maxIdleKB)
	m.reported("all counted", func(r *rpc.AgentReport) bool { return r.Routes[1].Connections == 500 })
	m.leave()
}

func residentKB(t *testing.T, pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(b)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
