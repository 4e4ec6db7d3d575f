//go:build unix

package program

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestRun(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143} {
		streams, _, _, _ := genericiooptions.NewTestIOStreams()
		err := Run(t.Context(), streams, nil, []string{"/bin/sh", "-c", script})
		var exit *ExitError
		if got := errors.As(err, &exit); want == 0 && err != nil || want != 0 && (!got || exit.Code != want) {
			t.Errorf("%s: %v, want %d", script, err, want)
		}
	}
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	if err := Run(t.Context(), streams, []string{"NAME=value"}, []string{"/bin/sh", "-c", "printf %s $NAME"}); err != nil || out.String() != "value" {
		t.Errorf("%q, %v", out, err)
	}
	if err := Run(t.Context(), streams, nil, []string{"/no/such/program"}); err == nil || errors.As(err, new(*ExitError)) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// When the context ends, the program is asked to end, and is not killed before it could.
func TestRunEndsWithContext(t *testing.T) {
	for script, want := range map[string]int{"exit 3": 3, "exit 0": 0} {
		ctx, cancel := context.WithCancel(t.Context())
		streams, _, _, _ := genericiooptions.NewTestIOStreams()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		streams.Out = w
		go func() {
			_, _ = bufio.NewReader(r).ReadString('\n') // at the end of the program, too
			cancel()
		}()
		err = Run(ctx, streams, nil, []string{"/bin/sh", "-c", "trap '" + script + "' TERM; echo ready; while :; do sleep 0.05; done"})
		w.Close()
		r.Close()
		var exit *ExitError
		if errors.As(err, &exit) != (want != 0) || want != 0 && exit.Code != want || want == 0 && err != nil {
			t.Errorf("%s: %v", script, err)
		}
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

// TestMain is also a command that waits until its context ends, and says what
// became of a write to an error output that nobody reads.
func TestMain(m *testing.M) {
	if os.Getenv("PROGRAM_TEST_WAITS") == "" {
		os.Exit(m.Run())
	}
	ctx, stop := Ends(context.Background())
	defer stop()
	_, err := io.WriteString(Stderr(), "nobody reads this\n")
	fmt.Printf("broken %t\n", errors.Is(err, syscall.EPIPE))
	<-ctx.Done()
	os.Exit(3)
}

func TestEnds(t *testing.T) {
	// A child does not inherit what this process catches. What nohup had it ignore,
	// the child would.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, ends...)
	defer signal.Stop(caught)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "PROGRAM_TEST_WAITS=1")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd.Stderr = w
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || line != "broken true\n" {
			t.Errorf("with a broken error output: %q, %v", line, err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		var exit *ExitError
		if err := Ended(cmd.Wait()); !errors.As(err, &exit) || exit.Code != 3 {
			t.Errorf("%s: %v, want 3", sig, err)
		}
	}
}

// What nohup, or a shell, has a process ignore is not heard.
func TestIgnoredIsNotHeard(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	if list := heard(ends); slices.Contains(list, os.Signal(syscall.SIGHUP)) || !slices.Contains(list, os.Signal(syscall.SIGTERM)) {
		t.Errorf("heard are %v", list)
	}
}
