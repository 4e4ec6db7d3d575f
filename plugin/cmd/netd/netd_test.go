package netd

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
)

func run(t *testing.T, f *netd.Finder, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	f.IOStreams = genericiooptions.IOStreams{Out: &out, ErrOut: &out}
	cmd := NewCommand(f)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestStatus(t *testing.T) {
	dir := t.TempDir()
	f := &netd.Finder{Service: dir + "/netd.sock", Socket: dir + "/u1000.sock", Beside: dir + "/intercept-netd", Installed: dir + "/copy"}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "Installed: no, and intercept-netd is not there to be started\nRunning: no\n"},
		{func() { program(t, f.Beside) }, "Installed: no; connect starts DIR/intercept-netd with sudo\nRunning: no\n"},
		{func() { listen(t, f.Socket, "0.0.9") }, "Installed: no; connect starts DIR/intercept-netd with sudo\nRunning: version 0.0.9, for you, at DIR/u1000.sock\n"},
		{func() { program(t, f.Installed); listen(t, f.Service, "1.2.3") },
			"Installed: version 1.2.3, DIR/copy\nRunning: version 1.2.3, as a service at DIR/netd.sock\n"},
	} {
		step.do()
		got, err := run(t, f, "status")
		if got = strings.ReplaceAll(got, dir, "DIR"); err != nil || got != step.want {
			t.Errorf("got %v\n%s\nwant\n%s", err, got, step.want)
		}
	}
	got, err := run(t, f, "status", "-o", "json")
	if err != nil || !strings.Contains(got, `"service": true`) {
		t.Errorf("got %v %s", err, got)
	}
}

func TestInstallAndUninstall(t *testing.T) {
	dir := t.TempDir()
	var ran []string
	f := &netd.Finder{UID: 1000, Beside: filepath.Join(dir, "intercept-netd"), Installed: dir + "/copy", Units: dir, Booted: dir,
		Run: func(_ context.Context, args ...string) error { ran = args; return nil }}
	program(t, f.Beside)
	out, err := run(t, f, "install")
	if err != nil || !strings.HasSuffix(out, " may connect without a password\n") || !slices.Equal(ran[:4], []string{"sudo", "--", "sh", "-ec"}) {
		t.Errorf("got %v, ran %q, said %s", err, ran, out)
	}
	if _, err := run(t, f, "install", "--group=no-such-group"); err == nil || !strings.Contains(err.Error(), "no such group") {
		t.Errorf("got %v", err)
	}
	if out, err := run(t, f, "uninstall"); err != nil || out != "intercept-netd is not installed\n" {
		t.Errorf("got %v, said %s", err, out)
	}
	program(t, f.Installed)
	if out, err := run(t, f, "uninstall"); err != nil || !strings.HasSuffix(out, "\nintercept-netd is removed\n") {
		t.Errorf("got %v, said %s", err, out)
	}
}

// program tells a version.
func program(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho 1.2.3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func listen(t *testing.T, socket, release string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if conn, err := handover.Greet(c.(*net.UnixConn), release); err == nil {
					conn.Receive()
				}
			}()
		}
	}()
}

// Without sessions of this user, DNS that leads to a cluster is somebody else's.
func TestUndo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	var ran []string
	f := &netd.Finder{UID: 1000, Beside: filepath.Join(dir, "intercept-netd"), Installed: dir + "/copy", Conf: dir + "/resolv.conf",
		Run: func(_ context.Context, args ...string) error { ran = args; return nil }}
	program(t, f.Beside)
	got, err := run(t, f, "undo")
	if err != nil || !slices.Equal(ran, []string{"sudo", "--", f.Beside, "undo"}) || !strings.HasSuffix(got, "undo\nwhat a killed intercept-netd has left is undone\n") {
		t.Errorf("got %v, ran %q\n%s", err, ran, got)
	}
	if err := os.WriteFile(f.Conf, []byte(handover.ConfMark+"1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = run(t, f, "undo"); err != nil || !strings.Contains(got, "somebody else's session") {
		t.Errorf("got %v\n%s", err, got)
	}
	f.Run = func(context.Context, ...string) error { return os.ErrPermission }
	if _, err := run(t, f, "undo"); err == nil || !strings.Contains(err.Error(), "intercept-netd undo: ") {
		t.Errorf("got %v", err)
	}
}
