//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// asleep is a workload that nobody can intercept for the time being.
const asleep = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: asleep}
spec:
  replicas: 0
  selector: {matchLabels: {app: asleep}}
  template:
    metadata: {labels: {app: asleep}}
    spec: {containers: [{name: asleep, image: kubectl-intercept.dev/test/quote:dev, ports: [{containerPort: 8080}]}]}
`

// begun is a command line in a process group of its own, as a shell starts it.
func begun(l *lab.Lab, p *lab.Laptop, args ...string) (*exec.Cmd, *bytes.Buffer) {
	l.Helper()
	cmd := p.Command(l.Context(), "kubectl-intercept", append(args[:1:1], append([]string{"-n", l.Namespace}, args[1:]...)...)...)
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // what it started may live longer, with its output
	l.Must(cmd.Start())
	l.Cleanup(func() {
		if l.Failed() {
			l.Logf("%s said\n%s", args, said) // the context has ended, and the command with it
		}
	})
	return cmd, said
}

// TestInterrupted: whatever ends a command that waits, it undoes what it began.
func TestInterrupted(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.ApplyText(asleep)
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	program := alice.Serve("alice")
	alice.Intercept("add", "quote", "--port", program.To("")) // the session is there
	there := func(name string) {
		t.Helper()
		l.Until("the intercept is there", func() error { _, err := l.Get(name); return err })
	}
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT} {
		cmd, said := begun(l, alice, "add", "asleep", "--port", "9000")
		there("asleep")
		l.Must(syscall.Kill(-cmd.Process.Pid, signal))
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(said.Bytes(), []byte("interrupted: deployment/asleep is not intercepted")) {
			t.Errorf("%s: %v: %s", signal, err, said)
		}
		l.Gone("asleep")
	}
	// Whoever reads what it says goes away.
	alice.Try("sh", "-c", fmt.Sprintf("%s add asleep --port 9000 -n %s 2>&1 | grep -m 1 resolving", l.Bin("kubectl-intercept"), l.Namespace))
	l.Gone("asleep")
	alice.Intercept("leave", "quote")

	// A key on the terminal reaches the program as well, and what connect and run
	// began ends with it.
	connected := func() error {
		if n := alice.Status().Network; n == "off" {
			return errors.New("the network is off")
		}
		return nil
	}
	cmd, _ := begun(l, alice, "connect", "--proxy", "--", "sleep", "1000")
	l.Until("the proxy is there", connected)
	l.Must(syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	_ = cmd.Wait() // it was killed
	l.Until("the proxy goes with the command", func() error {
		if connected() == nil {
			return errors.New("it is there")
		}
		return nil
	})
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGQUIT} {
		cmd, said := begun(l, alice, "connect", "--proxy", "--", "sleep", "1000")
		l.Until("the proxy is there", connected)
		l.Must(syscall.Kill(-cmd.Process.Pid, signal))
		if err := cmd.Wait(); err == nil {
			t.Errorf("connect, %s: it ended well", signal)
		}
		if connected() == nil {
			t.Errorf("connect, %s: the proxy is still there: %s", signal, said)
		}
		cmd, said = begun(l, alice, "run", "quote", "--port", "8080:http", "--", l.Bin("quote"), "-name", "inside", "-listen", "127.0.0.1:8080")
		l.Eventually(quote, "inside")
		l.Must(syscall.Kill(-cmd.Process.Pid, signal))
		if err := cmd.Wait(); err == nil {
			t.Errorf("run, %s: it ended well", signal)
		}
		if _, err := l.Get("quote"); err == nil {
			t.Errorf("run, %s: the intercept is still there: %s", signal, said)
		}
		l.Eventually(quote, lab.Application)
	}
}
