package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Variable names the environment variable that chooses the engine.
const Variable = "INTERCEPT_CONTAINER_ENGINE"

// Engines are the programs that are looked for, in this order.
func Engines() []string { return []string{"docker", "podman", "nerdctl"} }

// answerTime is how long an engine may take for an answer.
const answerTime = 15 * time.Second

// Engine is a program that runs containers and has docker's command line.
type Engine struct{ Path string }

// Find returns the first engine that is installed and works. Chosen names the only one that
// may be taken; "" is none.
func Find(ctx context.Context, chosen string) (*Engine, error) {
	names := Engines()
	if chosen != "" {
		names = []string{chosen}
	}
	var silent []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		switch {
		case err != nil && chosen != "":
			return nil, fmt.Errorf("container engine %s: %w", chosen, err)
		case err != nil:
			continue
		}
		e := &Engine{path}
		if _, err = e.ask(ctx, "version"); err == nil {
			return e, nil
		}
		silent = append(silent, err.Error())
	}
	if len(silent) > 0 {
		return nil, fmt.Errorf("no container engine works here: start it, and try again: %s", strings.Join(silent, "; "))
	}
	return nil, errors.New("no container engine is installed: install docker, podman or nerdctl, which run the image, or start your program without --docker-run")
}

// Name is how people call the engine.
func (e *Engine) Name() string {
	return strings.TrimSuffix(filepath.Base(e.Path), ".exe")
}

// ask runs the engine and returns what it prints. The error has the last line of its error
// output.
func (e *Engine) ask(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var out, errOut bytes.Buffer
	if err := e.run(ctx, &out, &errOut, args...); err != nil {
		if line := lastLine(errOut.String()); line != "" {
			err = errors.New(line)
		}
		return "", fmt.Errorf("%s %s: %w", e.Name(), args[0], err)
	}
	return out.String(), nil
}

func (e *Engine) run(ctx context.Context, out, errOut io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, e.Path, args...)
	cmd.Stdout, cmd.Stderr = out, errOut
	cmd.WaitDelay = time.Second // what it started may keep its outputs open
	return cmd.Run()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Fetch makes sure that the image is on this machine. It pulls an image that is not, and one
// that Args want to be pulled anyway. What the engine prints meanwhile goes to errOut.
func (e *Engine) Fetch(ctx context.Context, a *Args, errOut io.Writer) error {
	if a.Pull != "always" {
		if _, err := e.ask(ctx, "image", "inspect", "--format", "{{.Id}}", a.Image); err == nil {
			return nil
		}
	}
	if a.Pull == "never" {
		return fmt.Errorf("image %s is not on this machine, and --pull never forbids to fetch it: leave the flag out, or build the image", a.Image)
	}
	line := []string{"pull"}
	if a.Platform != "" {
		line = append(line, "--platform", a.Platform)
	}
	err := e.run(ctx, errOut, errOut, append(line, a.Image)...)
	if ctx.Err() != nil {
		return fmt.Errorf("pull image %s: %w", a.Image, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("image %s is not on this machine, and %s does not get it: build it, or check its name", a.Image, e.Name())
	}
	return nil
}

// Free returns the first of the names that no container has.
func (e *Engine) Free(ctx context.Context, names ...string) string {
	for _, name := range names[:len(names)-1] {
		if _, err := e.ask(ctx, "container", "inspect", "--format", "{{.Id}}", name); err != nil {
			return name
		}
	}
	return names[len(names)-1]
}
