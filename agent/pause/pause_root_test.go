//go:build rootful

package pause

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// The tests have a PID namespace as a container has one:
//
//	application   process 1, with threads and children that count, or that fork without end
//	agent         enters the namespace as an ephemeral container does, and pauses
//	guest         enters it as an exec probe does, and counts
//
// Each program that counts has a file of its own in a folder, where it writes how far it is.

// TestMain makes another program of this one where a test starts it with a role.
func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv("PAUSE_ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "application", "storm":
		err = application(role == "storm")
	case "agent":
		err = agent()
	case "leaf":
		count(20)
	default: // worker, guest, control
		count(1 << 60)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// count counts up to a number in a file.
func count(to int) {
	name := filepath.Join(os.Getenv("PAUSE_DIR"), fmt.Sprintf("%s-%d", os.Getenv("PAUSE_ROLE"), os.Getpid()))
	for n := range to {
		if err := os.WriteFile(name, []byte(strconv.Itoa(n)), 0o666); err != nil {
			return // the test is over
		}
		time.Sleep(time.Millisecond)
	}
	os.Remove(name)
}

// application is process 1 of a namespace.
func application(storm bool) error {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	start := func(role string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "PAUSE_ROLE="+role)
		return cmd
	}
	for range 3 {
		if err := start("worker").Start(); err != nil {
			return err
		}
	}
	if storm {
		for range 8 {
			go func() {
				for {
					_ = start("leaf").Run()
				}
			}()
		}
	}
	fmt.Println("ready")
	count(1 << 60)
	return nil
}

// agent pauses the container: process 1 and what came of it.
func agent() error {
	p := New(context.Background(), "", slog.New(slog.DiscardHandler))
	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for lines.Scan() {
		if lines.Text() == "end" {
			p.End()
			fmt.Println("ended")
			continue
		}
		p.Begin()
		state, message := p.State()
		for state == rpc.PortState_PENDING {
			<-p.Changed()
			state, message = p.State()
		}
		fmt.Println(strings.TrimSpace(state.String() + " " + message))
	}
	return nil
}

// pod is a namespace with its programs.
type pod struct {
	t   *testing.T
	dir string
	one int
}

func newPod(t *testing.T, role string) *pod {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test makes PID namespaces and must run as root")
	}
	p := &pod{t: t, dir: t.TempDir()}
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	p.one = p.start(cmd, role).cmd.Process.Pid
	return p
}

// program is one that a test talks with.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

// start starts a program. One that counts says nothing.
func (p *pod) start(cmd *exec.Cmd, role string) *program {
	p.t.Helper()
	cmd.Env = append(os.Environ(), "PAUSE_ROLE="+role, "PAUSE_DIR="+p.dir)
	in, err := cmd.StdinPipe()
	must(p.t, err)
	out, err := cmd.StdoutPipe()
	must(p.t, err)
	must(p.t, cmd.Start())
	p.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := &program{t: p.t, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	if role != "guest" && role != "control" {
		c.says("ready")
	}
	return c
}

// enter starts a program in the namespace, without a parent there.
func (p *pod) enter(role string) *program {
	p.t.Helper()
	self, err := os.Executable()
	must(p.t, err)
	return p.start(exec.Command("nsenter", fmt.Sprintf("--target=%d", p.one), "--pid", "--mount", self), role)
}

func (c *program) says(want string) {
	c.t.Helper()
	if c.out.Scan(); c.out.Text() != want {
		c.t.Fatalf("the program says %q, %v; want %q", c.out.Text(), c.out.Err(), want)
	}
}

func (c *program) asked(line, want string) {
	c.t.Helper()
	fmt.Fprintln(c.in, line)
	c.says(want)
}

// counts reads how far the programs of some roles are.
func (p *pod) counts(roles ...string) string {
	p.t.Helper()
	var all []string
	for _, role := range roles {
		names, err := filepath.Glob(filepath.Join(p.dir, role+"-*"))
		must(p.t, err)
		for _, name := range names {
			b, _ := os.ReadFile(name) // of a leaf that has ended
			all = append(all, filepath.Base(name)+"="+string(b))
		}
	}
	return strings.Join(all, " ")
}

// moves waits until the counts of a role are others.
func (p *pod) moves(roles ...string) {
	p.t.Helper()
	before := p.counts(roles...)
	if !soon(func() bool { now := p.counts(roles...); return now != before && now != "" }) {
		p.t.Fatalf("%v do not count: %s", roles, before)
	}
}

// rests says that nothing of the application counts while others count a while.
func (p *pod) rests() {
	p.t.Helper()
	application := []string{"application", "storm", "worker", "leaf"}
	before := p.counts(application...)
	for range 50 {
		p.moves("control")
	}
	if now := p.counts(application...); now != before || before == "" {
		p.t.Errorf("the application does not rest: it was at\n%s\nand is at\n%s", before, now)
	}
}

// Process 1 and its children stop and go on, as often as is wanted; what was brought in from
// outside runs. When the agent is killed, all go on.
func TestPause(t *testing.T) {
	for _, role := range []string{"application", "storm"} {
		t.Run(role, func(t *testing.T) {
			p := newPod(t, role)
			p.start(exec.Command("/proc/self/exe"), "control")
			p.enter("guest")
			a := p.enter("agent")
			for range 3 {
				p.moves(role)
				p.moves("worker")
				a.asked("begin", "VERIFIED")
				p.rests()
				p.moves("guest")
				a.asked("end", "ended")
			}
			p.moves(role)
			a.asked("begin", "VERIFIED")
			p.rests()
			must(t, unix.Kill(p.agent(), unix.SIGKILL))
			p.moves(role)
			p.moves("worker")
			p.enter("agent").asked("begin", "VERIFIED")
			p.rests()
		})
	}
}

// agent finds the agent, which nsenter has started.
func (p *pod) agent() int {
	p.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/environ")
	must(p.t, err)
	for _, path := range stats {
		b, _ := os.ReadFile(path)
		comm, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if strings.Contains(string(b), "PAUSE_ROLE=agent") && strings.Contains(string(b), "PAUSE_DIR="+p.dir+"\x00") && string(comm) != "nsenter\n" {
			return pid
		}
	}
	p.t.Fatal("there is no agent")
	return 0
}

// A signal that comes while the application is stopped arrives when it goes on, and SIGKILL
// ends it at once.
func TestSignalsOfStoppedProcesses(t *testing.T) {
	p := newPod(t, "application")
	a := p.enter("agent")
	a.asked("begin", "VERIFIED")
	worker := p.pidOf("worker", 0)
	must(t, unix.Kill(worker, unix.SIGTERM))
	p.start(exec.Command("/proc/self/exe"), "control")
	p.rests()
	if s, err := readThread(worker, worker); err != nil || s.state != 't' {
		t.Errorf("after SIGTERM the worker is %+v, %v", s, err)
	}
	killed := p.pidOf("worker", 1)
	must(t, unix.Kill(killed, unix.SIGKILL))
	p.ends(killed)
	a.asked("end", "ended")
	p.ends(worker)
	p.moves("application")
}

// pidOf is the process of a worker, outside of the namespace.
func (p *pod) pidOf(role string, which int) int {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.one, p.one))
	must(p.t, err)
	var pids []string
	for _, tid := range threads(p.one) {
		more, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.one, tid))
		pids = append(pids, strings.Fields(string(more))...)
	}
	if len(pids) <= which {
		p.t.Fatalf("process 1 has the children %q, %s", pids, b)
	}
	pid, err := strconv.Atoi(pids[which])
	must(p.t, err)
	return pid
}

// ends waits until a process has ended. Process 1 here does not wait for it.
func (p *pod) ends(pid int) {
	p.t.Helper()
	var s thread
	if !soon(func() (ended bool) {
		var err error
		s, err = readThread(pid, pid)
		return err != nil || s.state == 'Z'
	}) {
		p.t.Fatalf("process %d is %+v", pid, s)
	}
}

// soon waits until a condition holds. It is false if that takes too long.
func soon(holds func() bool) bool {
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// A container that another program holds is not stopped until that lets it go.
func TestADebuggedProcessIsTold(t *testing.T) {
	p := newPod(t, "application")
	other, a := p.enter("agent"), p.enter("agent")
	other.asked("begin", "VERIFIED")
	fmt.Fprintln(a.in, "begin")
	if a.out.Scan(); !strings.HasPrefix(a.out.Text(), rpc.PortState_FAILED.String()) || !strings.Contains(a.out.Text(), "another program debugs it, process ") {
		t.Errorf("the agent says %q", a.out.Text())
	}
	other.asked("end", "ended")
	soon(func() bool { // the agent tries again after a pause
		fmt.Fprintln(a.in, "begin")
		a.out.Scan()
		return a.out.Text() == rpc.PortState_VERIFIED.String()
	})
	a.asked("begin", "VERIFIED")
	p.start(exec.Command("/proc/self/exe"), "control")
	p.rests()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
