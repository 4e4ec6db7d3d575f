package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/environment"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/program"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

const (
	// grace is how long a container may take to end after it was asked to.
	grace = 10 * time.Second
	// last is how long the engine's program may go on after the container.
	last = 2 * time.Second
	// look is the pause between two looks for the file with the container's ID.
	look = 20 * time.Millisecond
)

// Run runs the container and waits for its end. The error is a *program.ExitError, or says why
// the container did not begin. When ctx ends, the engine stops the container. An interrupt
// reaches the container by the engine; ten seconds later, or at a second one, the container
// is removed. It is also removed if this process is killed: watch says by which command.
func (c *Container) Run(ctx context.Context, streams genericiooptions.IOStreams, watch []string) (err error) {
	dir, err := os.MkdirTemp("", "intercept-") // mode 0700
	if err != nil {
		return fmt.Errorf("run a container: %w", err)
	}
	left := leftovers{Engine: c.Engine.Path, Dir: dir}
	w, err := begin(watch, left)
	if err != nil {
		return errors.Join(err, left.remove(context.WithoutCancel(ctx)))
	}
	defer func() { err = errors.Join(err, w.end(context.WithoutCancel(ctx))) }()
	envFile, passed, err := c.writeEnvironment(dir, streams)
	if err != nil {
		return err
	}
	var names []string
	for _, v := range passed {
		names = append(names, v.Name)
	}
	line := append([]string{c.Engine.Path}, c.line(left.cidFile(), envFile, names)...)

	client, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the engine's program
	defer cancel()
	var over sync.WaitGroup
	over.Go(func() { c.read(client, left, envFile) })
	over.Go(func() { c.stop(ctx, client, cancel, left) })
	defer func() { cancel(); over.Wait() }()
	return program.Run(client, streams, environment.Command(os.Environ(), passed), line)
}

// writeEnvironment writes the env file. Its name is "" if there is nothing to write.
func (c *Container) writeEnvironment(dir string, streams genericiooptions.IOStreams) (path string, passed environment.Environment, err error) {
	if len(c.Environment) == 0 {
		return "", nil, nil
	}
	text, passed, leftOut := c.split()
	for _, line := range environment.Explain(leftOut) {
		render.Warn(streams.ErrOut, "the container does not have "+line)
	}
	path = filepath.Join(dir, "environment")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", nil, fmt.Errorf("write the container's environment: %w", err)
	}
	return path, passed, nil
}

// read removes the env file as soon as the container has been made, or ctx ends.
func (c *Container) read(ctx context.Context, l leftovers, envFile string) {
	if envFile == "" {
		return
	}
	_ = l.await(ctx)
	if err := os.Remove(envFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		_ = os.Truncate(envFile, 0) // on Windows somebody may have it open
	}
}

// stop ends the container when ctx does, or some time after an interrupt. Client ends with
// the engine's program, which kill ends.
func (c *Container) stop(ctx, client context.Context, kill func(), l leftovers) {
	asked, heard := program.Ends(client)
	defer heard()
	select {
	case <-ctx.Done():
		if id := l.await(client); id != "" {
			c.order(client, "stop", "-t", strconv.Itoa(int(grace.Seconds())), id)
		}
	case <-asked.Done():
		again, heard := program.Ends(client)
		defer heard()
		select {
		case <-again.Done():
		case <-ctx.Done():
		case <-time.After(grace):
		}
		if id := l.id(); id != "" {
			c.order(client, "kill", id)
		}
	}
	select { // it has the container's exit code
	case <-client.Done():
	case <-time.After(last):
	}
	kill()
}

// order has the engine do something with the container, unless its program has ended.
func (c *Container) order(client context.Context, args ...string) {
	bounded, cancel := context.WithTimeout(client, 2*grace)
	defer cancel()
	_ = c.Engine.run(bounded, nil, nil, args...) // at the end the container is removed by force
}

// await returns the container's ID when the engine has written it, or "" when ctx ends.
func (l leftovers) await(ctx context.Context) string {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if id := l.id(); id != "" {
			return id
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return l.id()
		}
	}
}

func (l leftovers) id() string {
	b, _ := os.ReadFile(l.cidFile())
	return strings.TrimSpace(string(b))
}
