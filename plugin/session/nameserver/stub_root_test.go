//go:build linux && rootful

package nameserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
)

// getaddrinfo of this system's C library takes the answers, with the search
// list and the ndots of a pod, in namespaces of its own.
func TestGetaddrinfo(t *testing.T) {
	w := newWorld(t, nil) // the laptop's resolver stays outside
	for i := range 100 {
		w.cluster.add(t, fmt.Sprintf("many.shop.svc.cluster.local. 30 IN A 10.0.0.%d", i))
	}
	// The thread is not given back: it ends with the test's goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("ip", "link", "set", "lo", "up"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	conf := "nameserver 127.0.0.53\nsearch " + strings.Join(names.Search("default", "cluster.local"), " ") + "\noptions ndots:5\n"
	for target, text := range map[string]string{"/etc/resolv.conf": conf, "/etc/nsswitch.conf": "hosts: files dns\n", "/etc/hosts": ""} {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("mount %s: %v", target, err)
		}
	}
	packets, err := net.ListenPacket("udp", "127.0.0.53:53")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.53:53")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx, packets, l) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		name string
		want string // the addresses, in any order; "" none
	}{
		{"hello", "10.96.0.7"},
		{"HELLO", "10.96.0.7"},
		{"hello.default", "10.96.0.7"},
		{"hello.default.", "10.96.0.7"},
		{"hello.default.svc", "10.96.0.7"},
		{"hello.default.svc.cluster.local", "10.96.0.7"},
		{"quote", "10.96.0.8"},
		{"both.shop", "10.96.0.9 fd00::9"},
		{"db-0.db.shop", "10.244.0.5"},
		{"outside.shop", "192.0.2.99"},
		{"api.example.com", "10.96.0.8"},
		{"www.example.com", "192.0.2.1"},
		{"web.dev", "192.0.2.2"},
		{"many.shop", "100"},
		{"nothing.shop", ""},
		{"www.example.org", ""},
	} {
		out, err := run("getent", "ahosts", c.name)
		seen := map[string]bool{}
		for _, line := range strings.Split(out, "\n") {
			if f := strings.Fields(line); len(f) > 0 {
				seen[f[0]] = true
			}
		}
		want := strings.Fields(c.want)
		if c.want == "100" {
			if len(seen) != 100 {
				t.Errorf("%s: %d addresses", c.name, len(seen))
			}
			continue
		}
		if (err == nil) != (c.want != "") || len(seen) != len(want) {
			t.Errorf("%s: %v, %s, want %q", c.name, err, out, c.want)
		}
		for _, a := range want {
			if !seen[a] {
				t.Errorf("%s: %s, want %s", c.name, out, a)
			}
		}
	}
	if out, err := run("getent", "hosts", "10.96.0.7"); err != nil || !strings.Contains(out, "hello.default.svc.cluster.local") {
		t.Errorf("%v, %s", err, out)
	}
	for _, q := range w.laptop.queries() {
		if strings.Contains(q, "cluster.local") {
			t.Errorf("the laptop's resolver was asked for %s", q)
		}
	}
}
