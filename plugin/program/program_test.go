//go:build unix

package program

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestRun(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143} {
		streams, _, _, _ := genericiooptions.NewTestIOStreams()
		err := Run(streams, nil, []string{"/bin/sh", "-c", script})
		var exit *ExitError
		if got := errors.As(err, &exit); want == 0 && err != nil || want != 0 && (!got || exit.Code != want) {
			t.Errorf("%s: %v, want %d", script, err, want)
		}
	}
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	if err := Run(streams, []string{"NAME=value"}, []string{"/bin/sh", "-c", "printf %s $NAME"}); err != nil || out.String() != "value" {
		t.Errorf("%q, %v", out, err)
	}
	if err := Run(streams, nil, []string{"/no/such/program"}); err == nil || errors.As(err, new(*ExitError)) {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestGuardPassesSignals(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := Guard(cmd.Process)
	defer stop()
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ExitError
	if err := Ended(cmd.Wait()); !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("%v, want 3", err)
	}
}
