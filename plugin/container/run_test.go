//go:build unix

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
)

// TestMain is also the process that watches over a container.
func TestMain(m *testing.M) {
	if len(os.Args) != 2 || os.Args[1] != WatchCommand {
		os.Exit(m.Run())
	}
	if err := Watch(context.Background(), os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// standIn is an engine that records its command lines. Its container runs until it is
// stopped, and prints a line when nobody needs the env file any more.
const standIn = `#!/bin/sh
cd "$(dirname "$0")" || exit
echo "$*" >>log
case $1 in
run)
	for word; do
		case $before in
		--env-file) file=$word; cat "$word" >environment ;;
		--cidfile) id=$word ;;
		esac
		before=$word
	done
	echo 4711 >"$id"
	while test "$file" && test -e "$file"; do sleep 0.01; done
	echo up
	while ! test -e code; do sleep 0.01; done
	exit "$(cat code)" ;;
stop) echo 143 >code ;;
kill) echo 137 >code ;;
esac
`

// engine writes an engine to a folder of its own.
func engine(t *testing.T, text string) (e *Engine, dir string) {
	t.Helper()
	dir = t.TempDir()
	path := filepath.Join(dir, "docker")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Engine{path}, dir
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ready ends a context when the container says that it is up.
type ready struct{ cancel func() }

func (r ready) Write(p []byte) (int, error) {
	r.cancel()
	return len(p), nil
}

// When the intercept ends, the container is stopped, with its own exit code, and nothing is
// left. The file with the environment is gone as soon as the container is there.
func TestStopped(t *testing.T) {
	e, dir := engine(t, standIn)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	streams.Out = ready{cancel}
	c := &Container{Engine: e, Args: &Args{Line: []string{"quote"}, Image: "quote"}, Name: "intercept-quote",
		Environment: environment.Environment{{Name: "SECRET", Value: "s3cret"}, {Name: "PWD", Value: "a\nb"}}}
	err := c.Run(ctx, streams, []string{os.Args[0], WatchCommand})
	var exit *program.ExitError
	if !errors.As(err, &exit) || exit.Code != 143 {
		t.Errorf("%v, want 143", err)
	}
	if text := content(t, dir, "environment"); text != "SECRET=s3cret\n" {
		t.Errorf("the environment is %q", text)
	}
	log := content(t, dir, "log")
	if !strings.HasPrefix(log, "run --rm ") || !strings.HasSuffix(log, "\nstop -t 10 4711\nrm --force --volumes 4711\n") || strings.Contains(log, "s3cret") {
		t.Errorf("the engine was asked\n%s", log)
	}
	if !strings.Contains(errOut.String(), "the container does not have PWD: ") {
		t.Errorf("it said %q", errOut)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// A container that goes on after an interrupt is killed at the next.
func TestInterruptedTwice(t *testing.T) {
	e, dir := engine(t, standIn)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt) // those that come late end nothing
	defer signal.Stop(caught)
	up, isUp := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		<-up.Done()
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
			}
		}
	}()
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	streams.Out = ready{isUp}
	c := &Container{Engine: e, Args: &Args{Line: []string{"quote"}, Image: "quote"}, Name: "intercept-quote"}
	err := c.Run(t.Context(), streams, []string{os.Args[0], WatchCommand})
	close(done)
	var exit *program.ExitError
	if !errors.As(err, &exit) || exit.Code != 137 {
		t.Errorf("%v, want 137", err)
	}
	if log := content(t, dir, "log"); !strings.HasSuffix(log, "\nkill 4711\nrm --force --volumes 4711\n") {
		t.Errorf("the engine was asked\n%s", log)
	}
}

// A command that was killed leaves nothing, whether the container is there already or not.
func TestWatch(t *testing.T) {
	for name, id := range map[string]string{"made": "4711", "not made": ""} {
		t.Run(name, func(t *testing.T) {
			e, dir := engine(t, standIn)
			left := leftovers{Engine: e.Path, Dir: filepath.Join(t.TempDir(), "left")}
			if err := os.Mkdir(left.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{"environment": "SECRET=s3cret\n", "id": id} {
				if err := os.WriteFile(filepath.Join(left.Dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			told, err := json.Marshal(left)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if id == "" {
				cancel() // nobody waits a minute here
			}
			defer cancel()
			if err := Watch(ctx, strings.NewReader(string(told))); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(left.Dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder: %v", err)
			}
			log, err := os.ReadFile(filepath.Join(dir, "log"))
			if id != "" && string(log) != "rm --force --volumes 4711\n" || id == "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the engine was asked %q, %v", log, err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	for name, tt := range map[string]struct {
		programs     map[string]string // and what they do
		chosen, want string            // the name of the engine, or the error
	}{
		"the first":            {map[string]string{"docker": "exit 0", "podman": "exit 0"}, "", "docker"},
		"the first that works": {map[string]string{"docker": "exit 1", "nerdctl": "exit 0"}, "", "nerdctl"},
		"as chosen":            {map[string]string{"docker": "exit 0", "podman": "exit 0"}, "podman", "podman"},
		"none":                 {nil, "", "no container engine is installed: install docker, podman or nerdctl, which run the image, or start your program without --docker-run"},
		"not there":            {map[string]string{"docker": "exit 0"}, "podman", `container engine podman: exec: "podman": executable file not found in $PATH`},
		"none works": {map[string]string{"docker": "echo hint; echo 'no daemon' >&2; exit 1", "podman": "exit 125"}, "",
			"no container engine works here: start it, and try again: docker version: no daemon; podman version: exit status 125"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("PATH", dir)
			for program, does := range tt.programs {
				if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+does+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			e, err := Find(t.Context(), tt.chosen)
			if err == nil && e.Name() != tt.want || err != nil && err.Error() != tt.want {
				t.Errorf("%v, %v, want %s", e, err, tt.want)
			}
		})
	}
}
