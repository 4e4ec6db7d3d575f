//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestIngest: with --mode ingest the laptop has the environment and the volumes of a container
// until the intercept is left, and the application keeps its traffic.
func TestIngest(t *testing.T) {
	for _, level := range []string{"privileged", "restricted"} {
		t.Run(level, func(t *testing.T) {
			l := lab.New(t, clusters)
			enforce(l, level)
			l.Apply("files.yaml")
			alice := l.Laptop("alice")
			lives, quote := l.Lives(), l.Serving("quote", "http")
			o := alice.Intercept("add", "deploy/quote", "--mode", "ingest")
			for _, line := range []string{"deployment.apps/quote ingested\n", "Intercepting      : nothing, the application keeps its traffic\n",
				"In place of       : container quote of pod " + l.Pod().Name + "\n"} {
				if !strings.Contains(o.Out, line) {
					t.Errorf("add does not say %q:\n%s", line, o.Out)
				}
			}
			mounted := volumesAt(l, o.Out)
			fileIs(l, alice.Root()+mounted+"/etc/quote/color", "green")
			if got := alice.Intercept("list").Out; !strings.Contains(got, "ingested") {
				t.Errorf("list says\n%s", got)
			}
			if got := alice.Intercept("status").Out; !strings.Contains(got, "Intercepting      : nothing, the application keeps its traffic") || strings.Contains(got, "Connections") {
				t.Errorf("status says\n%s", got)
			}
			l.Eventually(quote, "the cluster")
			if now := l.Lives(); now != lives {
				t.Errorf("pods were\n%s\nand are\n%s", lives, now)
			}

			// The same intercept gets the environment, too, and then a program takes traffic.
			file := alice.Home + "/quote.env"
			volumesAt(l, alice.Intercept("add", "deploy/quote", "--mode", "ingest", "--env-file", file).Out)
			text, err := os.ReadFile(file)
			if l.Must(err); !strings.Contains(string(text), "KUBERNETES_SERVICE_HOST=") || !strings.Contains(string(text), "INTERCEPT_NAME=quote\n") {
				t.Errorf("the file has\n%s", text)
			}

			// A port of the pod's localhost is one of the laptop's, until the intercept is left.
			alice.Intercept("add", "deploy/quote", "--mode", "ingest", "--to-pod", "8080")
			const near = "curl -sS -m 5 http://127.0.0.1:8080/"
			if got := alice.Shell(near); !strings.HasPrefix(got, "answered by the cluster") {
				t.Errorf("at localhost, %s", got)
			}
			alice.Intercept("add", "deploy/quote", "--port", alice.Serve("alice").To("http"), "--mode", "intercept")
			l.Eventually(quote, "alice")
			alice.Intercept("add", "deploy/quote", "--mode", "ingest")
			l.Eventually(quote, "the cluster")
			alice.Intercept("leave", "quote")
			isUnmounted(l, alice.Root()+mounted)
			if o := alice.Sh(near); !o.Failed {
				t.Errorf("after leave, at localhost, %s", o.Out)
			}

			// A command begins with it and ends it.
			o = alice.Intercept("add", "deploy/quote", "--mode", "ingest", "--", "sh", "-c", `cat "$INTERCEPT_ROOT/etc/credentials/password"; echo " $INTERCEPT_NAME"`)
			if o.Out != "geheim quote\n" {
				t.Errorf("the command printed %q", o.Out)
			}
			if got := alice.Intercept("list").Out; strings.Contains(got, "ingested") {
				t.Errorf("after the command, list says\n%s", got)
			}
			ownPaths(l, alice)
			if level == "privileged" { // the session is the same in both
				ownPathsBack(l, alice)
			}
		})
	}
}

// ownPaths: with run the volumes are at their own paths, by FUSE and in copies, for the command
// alone. They are not with --mount=false.
func ownPaths(l *lab.Lab, alice *lab.Laptop) {
	l.Helper()
	const read = `cat /etc/quote/color /etc/credentials/password; test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo -n " token"; getent passwd root | cut -d: -f1`
	defer sharedMounts(alice)()
	for _, mount := range []string{"--mount", "--mount=copy"} {
		o := alice.Intercept("run", "deploy/quote", mount, "--", "sh", "-c", read+`; echo here >/data/here; cat "$INTERCEPT_ROOT/data/here"; grep -c "^pod /data fuse.kubectl-intercept" /proc/mounts; true`)
		want := "greengeheim tokenroot\nhere\n0\n"
		if mount == "--mount" {
			want = strings.Replace(want, "0", "1", 1)
		}
		if o.Out != want || !strings.Contains(o.Err, "with its volumes at their own paths and below ") {
			l.Errorf("with %s the command printed %q, and run %q", mount, o.Out, o.Err)
		}
	}
	o := alice.Intercept("run", "deploy/quote", "--mount=false", "--", "sh", "-c", "ls -d /etc/quote /data; true")
	if o.Out != "" {
		l.Errorf("with --mount=false there are %q", o.Out)
	}
	if out := alice.Sh("ls -d /etc/quote /data; true").Out; out != "" {
		l.Errorf("on the laptop there are %q", out)
	}
}

// sharedMounts makes the laptop's mounts as systemd has them, so that programs see what is
// mounted later.
func sharedMounts(p *lab.Laptop) (undo func()) {
	p.Shell("mount --make-rshared /")
	return func() { p.Shell("mount --make-rprivate /") }
}

// ownPathsBack: the volumes are at their own paths again when the session was killed and
// another one has mounted them.
func ownPathsBack(l *lab.Lab, alice *lab.Laptop) {
	l.Helper()
	defer sharedMounts(alice)()
	ctx, cancel := context.WithTimeout(l.Context(), lab.Patience)
	defer cancel()
	cmd := alice.Command(ctx, "kubectl-intercept", "run", "deploy/quote", "-n", l.Namespace, "--mount", "--", "sh", "-c",
		`touch /data/up; until test -e /data/go; do sleep 0.1; done; cat /etc/quote/color /data/go`)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	l.Must(cmd.Start())
	pod := fmt.Sprintf("/proc/%d/root/data/", l.Process(l.Pod(), "-listen=:8080"))
	fileIs(l, pod+"up", "")
	for _, pid := range alice.Sessions() {
		l.Must(syscall.Kill(pid, syscall.SIGKILL))
	}
	l.Must(os.WriteFile(pod+"go", []byte(" again"), 0o644))
	if err := cmd.Wait(); err != nil || out.String() != "green again" {
		l.Errorf("after the session was killed: %v, %q; run says %s", err, out.String(), &errs)
	}
}
