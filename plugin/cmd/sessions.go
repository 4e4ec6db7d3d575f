package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/connect"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// sessions is the real background process.
type sessions struct{}

// Folder is on this machine.
func (sessions) Folder(f *kube.Factory) (*state.Dir, error) {
	return session.Folder(session.Config{Factory: f})
}

// Ensure starts the process if there is none.
func (sessions) Ensure(ctx context.Context, f *kube.Factory, transport string, progress func(string)) (*intercept.Session, error) {
	cfg := session.Config{Factory: f, Transport: transport}
	c, err := session.Ensure(ctx, cfg, progress)
	if err != nil {
		return nil, err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	return &intercept.Session{User: s.User, Name: s.Session, Track: track(c, ""), Process: c.Process, Mount: c.Mount, Release: c.Release,
		Keep: func(ctx context.Context, command string) {
			cfg.Command = command
			keep(ctx, c, cfg)
		}}, nil
}

// keepEvery is how often a command looks whether the background process is there.
const keepEvery = 2 * time.Second

// keep is that of an intercept.Session. It prints nothing, because the terminal is the
// program's.
func keep(ctx context.Context, c *session.Client, cfg session.Config) {
	t := time.NewTicker(keepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if _, err := c.Status(ctx); errors.Is(err, session.ErrNotRunning) {
			_, _ = session.Ensure(ctx, cfg, func(string) {}) // otherwise the next look does
		}
	}
}

// Connect opens a proxy, or a TUN with netd's help.
func (sessions) Connect(ctx context.Context, f *kube.Factory, a *connect.Access, progress func(string)) (*session.Network, error) {
	c, err := session.Ensure(ctx, session.Config{Factory: f, Transport: a.Transport}, progress)
	if err != nil {
		return nil, err
	}
	holders := []string{a.Holder}
	if a.Proxy != "" {
		progress("opening the way into the cluster")
		return c.OpenProxy(ctx, state.Proxy{Address: a.Proxy, Namespace: a.Device.Namespace, Via: a.Device.Via, Holders: holders})
	}
	progress("making the network interface")
	want := a.Device
	want.Holders = holders
	return c.OpenDevice(ctx, want)
}

// OpenProxy opens a proxy at a free port, or shares one.
func (s sessions) OpenProxy(ctx context.Context, f *kube.Factory, transport, namespace, holder string, progress func(string)) (string, error) {
	n, err := s.Connect(ctx, f, &connect.Access{Transport: transport, Proxy: "127.0.0.1:0", Device: state.Device{Namespace: namespace}, Holder: holder}, progress)
	if err != nil {
		return "", err
	}
	return n.Proxy, nil
}

// Command gives a sign of life.
func (sessions) Command(f *kube.Factory, holder string) (io.Closer, error) {
	return session.Command(session.Config{Factory: f}, holder)
}

// Release asks the session, or what it has left.
func (sessions) Release(ctx context.Context, f *kube.Factory, holder string) error {
	cfg := session.Config{Factory: f}
	c, err := session.Find(ctx, cfg)
	if errors.Is(err, session.ErrNotRunning) {
		return session.ForgetCommand(cfg, holder) // intercept-netd has undone the rest
	}
	if err != nil {
		return err
	}
	return c.Release(ctx, holder)
}

// Helper finds intercept-netd, or starts it.
func (sessions) Helper(ctx context.Context, streams genericiooptions.IOStreams) (string, func() error, error) {
	found, err := netd.Dial(ctx, streams)
	if err != nil {
		return "", nil, err
	}
	return found.Socket, found.Close, nil
}

// OpenIsolated opens the network of a program that has one of its own.
func (sessions) OpenIsolated(ctx context.Context, f *kube.Factory, transport string, d *state.Device, progress func(string)) error {
	c, err := session.Ensure(ctx, session.Config{Factory: f, Transport: transport}, progress)
	if err != nil {
		return err
	}
	progress("making the program's network")
	_, err = c.OpenDevice(ctx, *d)
	return err
}

// Resume opens it again, and tells of the intercept.
func (sessions) Resume(ctx context.Context, f *kube.Factory, transport string, d *state.Device, key string, p state.Program, start bool) error {
	cfg := session.Config{Factory: f, Transport: transport}
	c, err := session.Find(ctx, cfg)
	if errors.Is(err, session.ErrNotRunning) && start {
		c, err = session.Ensure(ctx, cfg, func(string) {})
	}
	if err != nil {
		return err
	}
	if _, err := c.OpenDevice(ctx, *d); err != nil || key == "" {
		return err
	}
	namespace, name, _ := strings.Cut(key, "/")
	p.Socket = d.Socket
	_, err = c.Track(ctx, namespace, name, p)
	return err
}

// EnsureIsolated is Ensure for intercepts whose ports are a program's own.
func (sessions) EnsureIsolated(ctx context.Context, f *kube.Factory, transport, socket string, progress func(string)) (*intercept.Session, error) {
	c, err := session.Ensure(ctx, session.Config{Factory: f, Transport: transport}, progress)
	if err != nil {
		return nil, err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	return &intercept.Session{User: s.User, Name: s.Session, Track: track(c, socket), Process: c.Process, Mount: c.Mount, Release: c.Release}, nil
}

// track is that of an intercept.Session. The ports belong to the program behind a socket, or
// to this machine and the hosts.
func track(c *session.Client, socket string) func(ctx context.Context, namespace, name string, p state.Program) (func(context.Context) error, error) {
	return func(ctx context.Context, namespace, name string, p state.Program) (func(context.Context) error, error) {
		p.Socket = socket
		former, err := c.Track(ctx, namespace, name, p)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			_, err := c.Track(ctx, namespace, name, former)
			return err
		}, nil
	}
}

// Undo starts intercept-netd where a dead one left something: it undoes that.
func (sessions) Undo(ctx context.Context, streams genericiooptions.IOStreams) error {
	if !netd.Left() {
		return nil
	}
	found, err := netd.Dial(ctx, streams)
	if err == nil {
		err = found.Close()
	}
	if err != nil {
		return fmt.Errorf("give this machine its own DNS back: %w", err)
	}
	return nil
}
