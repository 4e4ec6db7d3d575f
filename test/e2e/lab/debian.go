//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ToolsImage has the programs that pods serve with; see test/tools.sh.
const ToolsImage = "kubectl-intercept.dev/test/tools:dev"

// LoadTools brings ToolsImage to the cluster.
func (l *Lab) LoadTools() {
	l.Helper()
	l.load("tools.tar")
}

// AppsImage has the applications that speak HTTP; see test/apps.sh.
const AppsImage = "kubectl-intercept.dev/test/apps:dev"

// LoadApps brings AppsImage to the cluster.
func (l *Lab) LoadApps() {
	l.Helper()
	l.load("apps.tar")
}

func (l *Lab) load(archive string) {
	l.Helper()
	_, err := l.Cluster.Tool(l.Context(), "load", "--name", l.Cluster.Name, l.Bin(archive))
	l.Must(err)
}

// Sh runs a line of shell on the laptop, with the programs that `make deps` has
// unpacked into bin/tools before the machine's own.
func (p *Laptop) Sh(line string) Output {
	p.lab.Helper()
	o := p.sh(line)
	p.lab.Logf("%s$ %s (%s)\n%s%s", p.User, line, o.Took.Round(time.Millisecond), tail(o.Out), tail(o.Err))
	return o
}

// Shell is Sh, but fails the test if the command fails. It returns what the command
// printed.
func (p *Laptop) Shell(line string) string {
	p.lab.Helper()
	o := p.Sh(line)
	if o.Failed {
		p.lab.Fatalf("%s: failed", line)
	}
	return o.Out
}

// Quiet is Sh without a line in the log, for conditions that call it often.
func (p *Laptop) Quiet(line string) Output { return p.sh(line) }

func (p *Laptop) sh(line string) Output {
	ctx, cancel := context.WithTimeout(p.lab.Context(), 3*time.Minute)
	defer cancel()
	return collect(p.ShCommand(ctx, line))
}

// ShCommand returns the command that Sh runs for a line of shell.
func (p *Laptop) ShCommand(ctx context.Context, line string) *exec.Cmd {
	cmd := p.Command(ctx, "sh", "-c", line)
	cmd.Env = append(cmd.Env, p.lab.environment()...)
	return cmd
}

// environment has commands find the programs and libraries of bin/tools.
func (t *Tools) environment() []string {
	root := t.Bin("tools")
	glob := func(pattern string) string {
		dirs, _ := filepath.Glob(filepath.Join(root, pattern))
		return strings.Join(dirs, ":")
	}
	return []string{
		"PATH=" + strings.Join([]string{root + "/usr/bin", root + "/bin", glob("usr/lib/postgresql/*/bin"), t.Bin(""), os.Getenv("PATH")}, ":"),
		"LD_LIBRARY_PATH=" + glob("usr/lib/*-linux-gnu") + ":" + glob("lib/*-linux-gnu"),
	}
}

// ShOn runs a line of shell like Sh, on a node. Variables have the form NAME=VALUE.
func (l *Lab) ShOn(node *Space, line string, variables ...string) Output {
	ctx, cancel := context.WithTimeout(l.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", fmt.Sprintf("--target=%d", node.pid), "--net", "sh", "-c", line)
	cmd.Env = slices.Concat(os.Environ(), l.environment(), variables)
	cmd.Dir = l.root
	return collect(cmd)
}

// NetworkNamespace returns a network namespace that ip netns has made on the laptop.
func (p *Laptop) NetworkNamespace(name string) *Space {
	p.lab.Helper()
	cmd := p.ShCommand(context.Background(), "exec ip netns exec "+name+" sh -c 'echo ready; exec cat >/dev/null'")
	s, err := hold(cmd)
	p.lab.Must(err)
	p.lab.Cleanup(s.Close)
	return s
}
