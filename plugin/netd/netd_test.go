package netd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// listen is a netd that greets.
func listen(t *testing.T, socket string) {
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
			t.Cleanup(func() { c.Close() })
			go func() {
				conn, err := handover.Greet(c.(*net.UnixConn), "1.2.3")
				for err == nil {
					var r *handover.Request
					if r, err = conn.Receive(); err == nil {
						err = conn.Reply(r.ID, nil, nil, nil)
					}
				}
			}()
		}
	}()
}

func finder(t *testing.T) (*Finder, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	var errOut bytes.Buffer
	f := &Finder{IOStreams: genericiooptions.IOStreams{ErrOut: &errOut}, UID: 1000,
		Service: filepath.Join(dir, "netd.sock"), Socket: filepath.Join(dir, "u1000.sock"),
		Beside: filepath.Join(dir, "intercept-netd"), Installed: filepath.Join(dir, "copy"),
		Run: func(context.Context, ...string) error { t.Error("something is run"); return nil }}
	if err := os.WriteFile(f.Beside, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	return f, &errOut
}

func TestDialFindsWhatRuns(t *testing.T) {
	f, _ := finder(t)
	listen(t, f.Socket)
	found, err := f.Dial(t.Context())
	if err != nil || found.Socket != f.Socket || found.Release != "1.2.3" {
		t.Fatalf("got %+v, %v", found, err)
	}
	found.Close()
	listen(t, f.Service)
	found, err = f.Dial(t.Context())
	if err != nil || found.Socket != f.Service {
		t.Fatalf("got %+v, %v", found, err)
	}
	found.Close()
}

func TestDialStartsOne(t *testing.T) {
	f, errOut := finder(t)
	var ran []string
	f.Run = func(_ context.Context, args ...string) error {
		ran = args
		listen(t, f.Socket)
		return nil
	}
	found, err := f.Dial(t.Context())
	if err != nil || found.Socket != f.Socket {
		t.Fatalf("got %+v, %v", found, err)
	}
	defer found.Close()
	want := []string{"sudo", "--", f.Beside, "serve", "--detach", "--once", "--socket=" + f.Socket, "--uid=1000"}
	if !slices.Equal(ran, want) {
		t.Errorf("ran  %v\nwant %v", ran, want)
	}
	if s := errOut.String(); !strings.Contains(s, "\n    "+strings.Join(want, " ")+"\n") {
		t.Errorf("it said %q", s)
	}
}

func TestRootNeedsNoSudo(t *testing.T) {
	f, errOut := finder(t)
	f.UID = 0
	var ran []string
	f.Run = func(_ context.Context, args ...string) error {
		ran = args
		listen(t, f.Socket)
		return nil
	}
	found, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	if ran[0] != f.Beside || errOut.Len() > 0 {
		t.Errorf("ran %v, said %q", ran, errOut)
	}
}

func TestDialFails(t *testing.T) {
	tests := map[string]struct {
		spoil func(*Finder)
		want  string
	}{
		"no program": {func(f *Finder) { os.Remove(f.Beside) }, "intercept-netd is not there: looked for "},
		"no sudo": {func(f *Finder) {
			f.Run = func(context.Context, ...string) error { return &exec.Error{Name: "sudo", Err: exec.ErrNotFound} }
		}, "there is no sudo: run this as root: "},
		"wrong password": {func(f *Finder) {
			f.Run = func(context.Context, ...string) error { return errors.New("exit status 1") }
		}, "connect --proxy"},
		"no answer": {func(f *Finder) { f.Run = func(context.Context, ...string) error { return nil } }, "does not answer; its log is "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, _ := finder(t)
			tt.spoil(f)
			if _, err := f.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
