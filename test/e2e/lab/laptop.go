//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

// Laptop is a developer's machine: a network namespace that reaches nothing
// but the API server, a user's kubeconfig and a home folder. The namespace
// lasts as long as the cluster, the home as long as the test.
type Laptop struct {
	*Space
	User string
	Home string
	// Kubeconfig is the path that commands read. A test may change it.
	Kubeconfig string

	lab *Lab
}

// Laptop returns the laptop of a user, and lets the user edit the test's namespace.
func (l *Lab) Laptop(user string) *Laptop {
	l.Helper()
	l.Allow(user, "edit", l.Namespace)
	return l.Stranger(user)
}

// Stranger returns the laptop of a user without any rights yet.
func (l *Lab) Stranger(user string) *Laptop {
	l.Helper()
	path, err := l.kubeconfig(l.Context(), user)
	l.Must(err)
	s, err := l.space("laptop", "--name", l.Cluster.Name, user, "--")
	l.Must(err)
	p := &Laptop{Space: s, User: user, Home: l.TempDir(), Kubeconfig: path, lab: l}
	l.laptops = append(l.laptops, p)
	l.Cleanup(func() {
		if l.Failed() {
			p.show()
		}
		p.End()
		s.Close()
	})
	return p
}

// Config returns the client configuration of the user.
func (p *Laptop) Config() *rest.Config {
	p.lab.Helper()
	cfg, err := p.lab.config(p.lab.Context(), p.User)
	p.lab.Must(err)
	return cfg
}

// Command returns a command that runs on the laptop. The program is that of bin/, or
// the machine's if bin/ has none.
func (p *Laptop) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if path := p.lab.Bin(name); exists(path) {
		name = path
	}
	line, err := p.Beside(p.Home, name, args...)
	if err != nil {
		line = []string{"false"}
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Err = err
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); name != "HOME" && name != "KUBECONFIG" && !strings.HasPrefix(name, "XDG_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+p.Home, "KUBECONFIG="+p.Kubeconfig)
	cmd.Dir = p.Home
	return cmd
}

// Output is what a command printed and how it ended.
type Output struct {
	Out, Err string
	Failed   bool
	Code     int // exit code
	Took     time.Duration
}

// Try runs a program of bin/ on the laptop.
func (p *Laptop) Try(name string, args ...string) Output {
	p.lab.Helper()
	o := p.run(name, args...)
	p.lab.Logf("%s$ %s %s (%s)\n%s%s", p.User, name, strings.Join(args, " "), o.Took.Round(time.Millisecond), o.Out, o.Err)
	return o
}

// TryOn is Try with a terminal to read from.
func (p *Laptop) TryOn(tty *os.File, name string, args ...string) Output {
	p.lab.Helper()
	ctx, cancel := context.WithTimeout(p.lab.Context(), 3*time.Minute)
	defer cancel()
	cmd := p.Command(ctx, name, args...)
	cmd.Stdin = tty
	o := collect(cmd)
	p.lab.Logf("%s$ %s %s (%s)\n%s%s", p.User, name, strings.Join(args, " "), o.Took.Round(time.Millisecond), o.Out, o.Err)
	return o
}

func (p *Laptop) run(name string, args ...string) Output {
	ctx, cancel := context.WithTimeout(p.lab.Context(), 3*time.Minute)
	defer cancel()
	return collect(p.Command(ctx, name, args...))
}

// collect runs a command to its end.
func collect(cmd *exec.Cmd) Output {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	// A session process writes elsewhere. If a bug makes it keep these pipes, the
	// test must not hang.
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	err := cmd.Run()
	o := Output{Out: out.String(), Err: errs.String(), Failed: err != nil, Took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.Err += err.Error()
	}
	o.Code = cmd.ProcessState.ExitCode()
	return o
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// RunQuiet runs the plugin without a line in the log, for conditions that call it often.
func (p *Laptop) RunQuiet(args ...string) (string, error) {
	o := p.run("kubectl-intercept", p.inNamespace(args)...)
	if o.Failed {
		return "", fmt.Errorf("kubectl intercept %s: %s", strings.Join(args, " "), o.Err)
	}
	return o.Out, nil
}

// Intercept runs the plugin in the test's namespace, and fails the test if the plugin
// fails.
func (p *Laptop) Intercept(args ...string) Output {
	p.lab.Helper()
	o := p.Try("kubectl-intercept", p.inNamespace(args)...)
	if o.Failed {
		p.lab.Fatalf("kubectl intercept %s failed", strings.Join(args, " "))
	}
	return o
}

// Refused runs the plugin. It fails the test unless the plugin fails with an error
// that contains every one of the texts.
func (p *Laptop) Refused(args []string, texts ...string) Output {
	p.lab.Helper()
	o := p.Try("kubectl-intercept", p.inNamespace(args)...)
	if !o.Failed {
		p.lab.Fatalf("kubectl intercept %s succeeded, want an error", strings.Join(args, " "))
	}
	for _, text := range texts {
		if !strings.Contains(o.Err, text) {
			p.lab.Fatalf("the error of kubectl intercept %s does not contain %q", strings.Join(args, " "), text)
		}
	}
	return o
}

// Kubectl runs kubectl in the test's namespace, and fails the test if kubectl fails.
func (p *Laptop) Kubectl(args ...string) string {
	p.lab.Helper()
	o := p.Try("kubectl", p.inNamespace(args)...)
	if o.Failed {
		p.lab.Fatalf("kubectl %s failed", strings.Join(args, " "))
	}
	return o.Out
}

func (p *Laptop) inNamespace(args []string) []string {
	for _, a := range args {
		if a == "-n" || a == "-A" || a == "install" || a == "uninstall" || a == "upgrade" {
			return args
		}
	}
	end := len(args)
	if dash := slices.Index(args, "--"); dash >= 0 {
		end = dash
	}
	return slices.Insert(slices.Clone(args), end, "-n", p.lab.Namespace)
}

// Status has those fields of `status -o json` that tests read.
type Status struct {
	Running bool
	Network string
	Session struct {
		Session, Transport, NotDirect, Relay, LogFile string
		PID, Lines                                    int
		Connected                                     bool
	}
	Intercepts []struct {
		Namespace, Name, State, Message string
		Connections, Fallbacks          int64
	}
}

// Status runs `status -o json` and returns the result.
func (p *Laptop) Status() Status {
	p.lab.Helper()
	var s Status
	out, err := p.RunQuiet("status", "-o", "json")
	p.lab.Must(err)
	p.lab.Must(json.Unmarshal([]byte(out), &s))
	return s
}

// Sessions returns the process IDs of this test's session processes on the laptop.
func (p *Laptop) Sessions() []int {
	var pids []int
	for _, pid := range processes() {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.Contains(string(env), "HOME="+p.Home+"\x00") && strings.Contains(string(line), "kubectl-intercept\x00session\x00") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// End ends the sessions, and their intercepts with them. It kills a session that does
// not end by itself.
func (p *Laptop) End() {
	deadline := time.Now().Add(10 * time.Second)
	for signal := syscall.SIGTERM; ; time.Sleep(checkInterval) {
		pids := p.Sessions()
		if len(pids) == 0 {
			return
		}
		if time.Now().After(deadline) {
			p.lab.Errorf("session %v of %s does not end on SIGTERM", pids, p.User)
			signal = syscall.SIGKILL
			deadline = time.Now().Add(time.Minute)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, signal) // it may have ended meanwhile
		}
	}
}

// show prints the session's logs.
func (p *Laptop) show() {
	logs, _ := filepath.Glob(filepath.Join(p.Home, ".cache/kubectl-intercept/*/session.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		p.lab.Logf("--- session log of %s\n%s", p.User, tail(string(text)))
	}
}
