//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestCommand: the command after "--" is the pod: it has the traffic and the environment of
// the container. The intercept ends with the command and the command with the intercept,
// however they end, and no session is there before or after.
func TestCommand(t *testing.T) {
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("environment.yaml", "{USER}", "{}")
			quote := l.Serving("quote", "http")
			alice := l.Laptop("alice")
			port := alice.Serve("nobody asks this one")
			address := fmt.Sprintf("127.0.0.1:%d", port.Port)
			port.Close()

			file := filepath.Join(alice.Home, "environment")
			line := func(end string) []string {
				return []string{"add", "deploy/quote", "--port", port.To("http"), "--inject", string(inject), "--", "sh", "-c",
					"cat /proc/self/environ >" + file + " && " + end, l.Bin("quote"), address}
			}
			serve := line(`exec "$0" -name alice -listen "$1"`)
			nothing := func() {
				t.Helper()
				l.Gone("quote")
				l.Eventually(quote, lab.Application)
				l.Until("no session is there", func() error {
					if s := alice.Sessions(); len(s) > 0 {
						return fmt.Errorf("%v", s)
					}
					return nil
				})
			}

			cmd, said := begun(l, alice, serve...)
			l.Eventually(quote, "alice")
			got, want := environ(l, file), variables(l, l.Pod(), "-listen=:8080")
			for name, value := range want {
				if v, ok := got[name]; (!ok || v != value) && !isLocal(name) {
					t.Errorf("%s is %q here, and %q in the container", name, v, value)
				}
			}
			i, err := l.Get("quote")
			l.Must(err)
			for name, value := range map[string]string{"HOME": alice.Home, "INTERCEPT_NAME": "quote", "INTERCEPT_ID": string(i.UID), "INTERCEPT_CONTAINER": "quote", "TELEPRESENCE_CONTAINER": "quote"} {
				if got[name] != value {
					t.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}

			// Its session is killed, and another one serves.
			sessions := alice.Sessions()
			for _, pid := range sessions {
				l.Must(syscall.Kill(pid, syscall.SIGKILL))
			}
			l.Until("another session is there", func() error {
				if s := alice.Sessions(); len(s) != 1 || slices.Equal(s, sessions) {
					return fmt.Errorf("%v", s)
				}
				return nil
			})
			l.Eventually(quote, "alice")

			// Somebody leaves the intercept.
			alice.Intercept("leave", "quote")
			l.Must(cmd.Wait()) // quote ends well on SIGTERM
			if text := "intercept quote has ended, and so has the command\n"; !strings.HasSuffix(said.String(), text) {
				t.Errorf("it said %s", said)
			}
			nothing()

			// The command ends by itself, or by a key.
			cmd, said = begun(l, alice, line("exit 7")...)
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 || !strings.Contains(said.String(), "deployment.apps/quote intercepted\n") {
				t.Errorf("%v: %s", err, said)
			}
			nothing()
			cmd, said = begun(l, alice, line(`trap "exit 9" INT; "$0" -name alice -listen "$1"; exit 1`)...)
			l.Eventually(quote, "alice")
			l.Must(syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
				t.Errorf("%v: %s", err, said)
			}
			nothing()

			// Somebody kills the command that waits for it.
			cmd, _ = begun(l, alice, serve...)
			l.Eventually(quote, "alice")
			l.Must(cmd.Process.Kill())
			_ = cmd.Wait() // it was killed
			nothing()
			l.Must(syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)) // what it left running

			// An intercept that cannot be has no command.
			l.Must(os.Remove(file))
			alice.Refused(append([]string{"add", "deploy/quote", "--port", port.To("nothing")}, serve[6:]...), `"nothing"`)
			alice.Refused(append([]string{"add", "deploy/quote", "--port", port.To("http"), "--container", "other"}, serve[6:]...), `no container "other": it has quote, beside`)
			if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the command was started: %v", err)
			}
			nothing()
		})
	}
}

// environ reads a file with the content of /proc/PID/environ.
func environ(l *lab.Lab, file string) map[string]string {
	l.Helper()
	b, err := os.ReadFile(file)
	l.Must(err)
	all := map[string]string{}
	for v := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		name, value, _ := strings.Cut(string(v), "=")
		all[name] = value
	}
	return all
}
