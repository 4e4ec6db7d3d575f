//go:build rootful

package environ

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

// TestMain makes another program of this one where a test starts it with a role.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("ENVIRON_ROLE") {
	case "":
		os.Exit(m.Run())
	case "title":
		err = title()
	case "agent":
		err = agent()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// agent finds the container in a cgroup namespace of its own, once it is in its cgroup.
func agent() error {
	fmt.Println("ready")
	var ready string
	if _, err := fmt.Scanln(&ready); err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return err
	}
	found, err := Root.Of("containerd://"+ours, nil)
	if err != nil {
		return err
	}
	value, _ := found.Environment.Lookup("A")
	fmt.Println(value)
	return nil
}

// title does with the own environment what nginx does to show a longer title.
func title() error {
	s, err := Root.stat(os.Getpid())
	if err != nil {
		return err
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	text := make([]byte, s.env.to-s.args.from)
	copy(text, "application: master")
	_, err = memory.WriteAt(text, int64(s.args.from))
	return err
}

// child is this program as another process.
type child struct {
	t   *testing.T
	pid int
	in  io.WriteCloser
	out *bufio.Scanner
}

// start runs this program in a role, until the test ends.
func start(t *testing.T, role string, attributes *syscall.SysProcAttr, env ...string) *child {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test starts processes of other users and must run as root")
	}
	cmd := exec.Command("/proc/self/exe", "--password=sesame")
	cmd.Env = append(env, "ENVIRON_ROLE="+role)
	cmd.SysProcAttr, cmd.Dir = attributes, "/usr"
	return run(t, cmd)
}

// run starts a program that prints "ready", and ends it with the test.
func run(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	c := &child{t: t, pid: cmd.Process.Pid, in: in, out: bufio.NewScanner(out)}
	c.says("ready")
	return c
}

// says waits for a line.
func (c *child) says(want string) {
	c.t.Helper()
	if c.out.Scan(); c.out.Text() != want {
		c.t.Errorf("the process says %q, %v; want %q", c.out.Text(), c.out.Err(), want)
	}
}

// limited runs f on a thread that has certain capabilities only, as the agent's container
// does.
func limited(t *testing.T, capabilities []int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		for _, c := range capabilities {
			data[c/32].Effective |= 1 << (c % 32)
			data[c/32].Permitted |= 1 << (c % 32)
		}
		err := unix.Capset(&header, &data[0])
		if err == nil {
			f()
		}
		done <- err
	}()
	must(t, <-done)
}

// The agent has NET_ADMIN and SYS_PTRACE, and may read what is another user's, although it
// may not open the file.
func TestTheAgentReadsAnotherUsersProcess(t *testing.T) {
	large := "LARGE=" + strings.Repeat("é\n", 30<<10)
	app := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1001, Groups: []uint32{1001, 2000}}}
	pid := start(t, "app", app, "A=a", "PASSWORD=sesame", large).pid
	want := &process.Process{
		Environment: process.Environment{{Name: "A", Value: "a"}, {Name: "LARGE", Value: large[6:]}, {Name: "ENVIRON_ROLE", Value: "app"}},
		Directory:   "/usr", Command: []string{"/proc/self/exe", "--password=$(PASSWORD)"},
		UID: 1000, GID: 1001, Groups: []uint32{1001, 2000},
	}
	for name, capabilities := range map[string][]int{
		"by memory": {unix.CAP_NET_ADMIN, unix.CAP_SYS_PTRACE},
		"by file":   {unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH},
	} {
		limited(t, capabilities, func() {
			got, err := Root.Read(pid, []string{"PASSWORD"})
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%.2000s", name, err, diff)
			}
		})
	}
	limited(t, []int{unix.CAP_NET_ADMIN}, func() {
		got, err := Root.Read(pid, nil)
		if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "of user 1000: the agent's container needs the capability SYS_PTRACE") {
			t.Errorf("without SYS_PTRACE: %v, %v", got, err)
		}
	})
}

func TestAnOverwrittenEnvironmentIsTold(t *testing.T) {
	pid := start(t, "title", nil, "PASSWORD=sesame").pid
	got, err := Root.Read(pid, []string{"PASSWORD"})
	if err != nil || !got.Overwritten || len(got.Environment) > 0 || len(got.Command) > 0 || got.Directory != "/usr" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Perl is one of the programs that move their environment before they write a title over
// it.
func TestAMovedEnvironmentIsFound(t *testing.T) {
	large := strings.Repeat("é\n", 30<<10)
	cmd := exec.Command("perl", "-e", `$0 = "title: " . "x" x 200_000; $| = 1; print "ready\n"; <STDIN>`)
	cmd.Env = []string{"A=a", "PASSWORD=sesame", "LARGE=" + large}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	c := run(t, cmd)
	want := process.Environment{{Name: "A", Value: "a"}, {Name: "LARGE", Value: large}}
	limited(t, []int{unix.CAP_NET_ADMIN, unix.CAP_SYS_PTRACE}, func() {
		if b, err := os.ReadFile(Root.file(c.pid, "cmdline")); err != nil || !strings.HasPrefix(string(b), "title: x") {
			t.Errorf("the process has no title: %.50q, %v", b, err)
		}
		got, err := Root.Read(c.pid, []string{"PASSWORD"})
		if err != nil || got.Overwritten || len(got.Command) > 0 || !cmp.Equal(want, got.Environment) {
			t.Errorf("%v, overwritten: %t, command: %.50q, variables: %v", err, got.Overwritten, got.Command, got.Environment)
		}
	})
}

// Containers that share no processes begin with process 1 of a PID namespace.
func TestProcessOneOfANamespace(t *testing.T) {
	pid := start(t, "app", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}, "A=a").pid
	proc := t.TempDir()
	out, err := exec.Command("nsenter", fmt.Sprintf("--target=%d", pid), "--pid", "--mount", "mount", "-t", "proc", "proc", proc).CombinedOutput()
	if err != nil {
		t.Fatalf("mount a procfs: %v\n%s", err, out)
	}
	got, err := Proc(fmt.Sprintf("/proc/%d/root%s", pid, proc)).Of("", nil)
	want := process.Environment{{Name: "A", Value: "a"}, {Name: "ENVIRON_ROLE", Value: "app"}}
	if err != nil || !cmp.Equal(want, got.Environment) || got.Directory != "/usr" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Containers that share their processes are told apart by their cgroups, in the agent's own
// cgroup namespace as in the node's.
func TestProcessesAreFoundByTheirCgroup(t *testing.T) {
	for version, mount := range cgroups(t) {
		t.Run(version, func(t *testing.T) {
			pod := filepath.Join(mount, fmt.Sprintf("kubectl-intercept-test-%d", os.Getpid()))
			sidecar, app := filepath.Join(pod, other), filepath.Join(pod, "cri-containerd-"+ours+".scope")
			for _, dir := range []string{pod, sidecar, app} {
				must(t, os.Mkdir(dir, 0o755))
				t.Cleanup(func() { must(t, os.Remove(dir)) })
			}
			first, second, agent := start(t, "app", nil, "A=first"), start(t, "app", nil, "A=second"), start(t, "agent", nil)
			for pid, dir := range map[int]string{first.pid: app, second.pid: app, agent.pid: sidecar} {
				must(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(fmt.Sprint(pid)), 0))
			}
			got, err := Root.Of("containerd://"+ours, nil)
			if err != nil {
				t.Fatal(err)
			}
			if value, _ := got.Environment.Lookup("A"); value != "first" {
				t.Errorf("A is %q", value)
			}
			fmt.Fprintln(agent.in, "go")
			agent.says("first")
		})
	}
}

// cgroups returns a hierarchy of each version that the machine has.
func cgroups(t *testing.T) map[string]string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	found := map[string]string{}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "cgroup2" || f[2] == "cgroup" && !strings.Contains(f[3], "cpuset") {
			found[f[2]] = f[1]
		}
	}
	if len(found) == 0 {
		t.Fatal("no cgroups are mounted")
	}
	return found
}
