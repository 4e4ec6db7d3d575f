package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const name = "updown"

func TestUpDown(t *testing.T) {
	tool := newTool(t)
	tool.must("up", "--name", name)

	t.Run("up again returns at once", func(t *testing.T) {
		before := started()
		if len(before) == 0 {
			t.Fatal("the cluster has no processes")
		}
		if _, said := tool.run("up", "--name", name); strings.Count(said, "\n") != 1 || !strings.Contains(said, "is up") {
			t.Errorf("it has nothing to do, and says %q", said)
		}
		now := started()
		for _, pid := range before {
			if !slices.Contains(now, pid) {
				t.Errorf("process %d of %v has ended", pid, before)
			}
		}
	})
	t.Run("laptop", func(t *testing.T) { laptop(t, tool) })
	t.Run("up repairs", func(t *testing.T) {
		for _, component := range []string{"kube-apiserver", "kubelet"} {
			tool.kill(component)
		}
		tool.must("up", "--name", name)
		tool.must("restart", "--name", name, "kube-controller-manager")
	})
	t.Run("down after kills", func(t *testing.T) {
		before := tool.trace()
		for _, component := range []string{"containerd", "kubelet", "kube-apiserver"} {
			tool.kill(component)
		}
		tool.must("down", "--name", name)
		tool.nothingLeft(before)
	})
}

// TestDownAfterKilledUp kills up at its beginning and after each step that it
// names, until it has nothing left to do.
func TestDownAfterKilledUp(t *testing.T) {
	tool := newTool(t)
	for step := 0; ; step++ {
		up := exec.Command(tool.binary, "up", "--name", name)
		stderr, err := up.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(stderr)
		done := false
		for range step {
			if done = !said.Scan(); done {
				break
			}
		}
		before := tool.trace()
		_ = up.Process.Kill() // which fails once it has ended
		_ = up.Wait()
		tool.must("down", "--name", name)
		tool.nothingLeft(before)
		if done {
			if t.Logf("up has %d steps", step-1); step < 5 {
				t.Errorf("up ended after %d steps", step-1)
			}
			break
		}
	}
	tool.must("down", "--name", name) // nothing to do is no error
}

// laptop checks that it reaches the API server and nothing else.
func laptop(t *testing.T, tool *tool) {
	kubectl := filepath.Join(filepath.Dir(tool.binary), "kubectl")
	out := tool.must("laptop", "--name", name, "--", kubectl, "get", "pods", "-A",
		"-o", "jsonpath={.items[0].status.podIP} {.items[0].status.hostIP}")
	ips := strings.Fields(out)
	if len(ips) != 2 {
		t.Fatalf("kubectl on the laptop says %q", out)
	}
	pod, node := net.JoinHostPort(ips[0], "8181"), net.JoinHostPort(ips[1], "10250")
	dial := func(place []string, address string) error {
		host, port, _ := net.SplitHostPort(address)
		script := fmt.Sprintf("exec timeout 5 bash -c 'exec 3<>/dev/tcp/%s/%s' 2>/dev/null", host, port)
		return exec.Command(tool.binary, append(place, "--", "bash", "-c", script)...).Run()
	}
	onLaptop, onNode := []string{"laptop", "--name", name}, []string{"exec", "--name", name}
	for _, address := range []string{pod, node, "10.96.0.10:53", "10.96.0.1:443"} {
		if err := dial(onNode, address); err != nil {
			t.Errorf("%s cannot be reached from the node: %v", address, err)
		}
		if err := dial(onLaptop, address); err == nil {
			t.Errorf("%s can be reached from the laptop", address)
		}
	}
	if conn, err := net.DialTimeout("tcp", node, 5*time.Second); err == nil {
		_ = conn.Close()
		t.Error("kubelet can be reached from the machine")
	}
	if conn, err := net.DialTimeout("tcp", net.JoinHostPort(ips[1], "6443"), 5*time.Second); err != nil {
		t.Errorf("the API server cannot be reached from the machine: %v", err)
	} else {
		_ = conn.Close()
	}
	logs := tool.must("laptop", "--name", name, "--", kubectl, "logs", "-n", "kube-system", "deploy/coredns")
	if !strings.Contains(logs, "CoreDNS") {
		t.Errorf("kubectl logs says %q", logs)
	}
	exit := &exec.ExitError{}
	err := exec.Command(tool.binary, "laptop", "--name", name, "second", "--", "bash", "-c", "exit 42").Run()
	if !asExit(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("exit code 42 came back as %v", err)
	}
}

func asExit(err error, target **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*target = e
	return ok
}

// tool runs the cluster binary with a state folder of its own.
type tool struct {
	t      *testing.T
	binary string
	state  string
}

func newTool(t *testing.T) *tool {
	if os.Geteuid() != 0 {
		t.Fatal("needs root: run make e2e")
	}
	binary := os.Getenv("CLUSTER_BIN")
	if binary == "" {
		binary, _ = filepath.Abs("../../../bin/cluster")
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("needs the built binary, run make build: %v", err)
	}
	state := filepath.Join(t.TempDir(), "state")
	t.Setenv("CLUSTER_STATE", state)
	tool := &tool{t, binary, state}
	t.Cleanup(func() { tool.must("down", "--name", name) })
	return tool
}

// must runs the tool and returns what it prints.
func (c *tool) must(args ...string) string {
	c.t.Helper()
	stdout, _ := c.run(args...)
	return stdout
}

func (c *tool) run(args ...string) (stdout, stderr string) {
	c.t.Helper()
	var out, errOut strings.Builder
	cmd := exec.Command(c.binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("cluster %s: %v\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return out.String(), errOut.String()
}

// kill ends a component as a crash does and waits until it is gone. Components
// are found from outside, by control group and name, not by the tool's own means.
func (c *tool) kill(component string) {
	c.t.Helper()
	for _, pid := range groupProcs() {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if argv0, _, _ := strings.Cut(string(data), "\x00"); argv0 == component {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				c.t.Fatal(err)
			}
			for deadline := time.Now().Add(10 * time.Second); slices.Contains(groupProcs(), pid); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					c.t.Fatalf("%s lives on", component)
				}
			}
			return
		}
	}
	c.t.Fatalf("%s does not run", component)
}
