package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
	"github.com/kubectl-intercept/kubectl-intercept/agent/control"
	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

const (
	// The heap of an idle agent is one or two megabytes. Frequent garbage collection
	// keeps the memory of the process near that.
	collectAt = 100
	softLimit = 128 << 20
)

// core is what ephemeral agents and sidecars have in common.
type core struct {
	settings *control.Settings
	identity *control.Identity
	log      *slog.Logger
	level    *slog.LevelVar // of log
	opener   *relay.Opener
	// serving is the context of everything that serves connections. A signal does not
	// end it. The function end does, after all connections have been served.
	serving context.Context
	end     context.CancelFunc
}

// begin reads the environment and makes the agent's identity. The caller must call
// end when all connections have been served.
func begin(ctx context.Context, getenv func(string) string, stderr io.Writer) (*core, error) {
	debug.SetGCPercent(collectAt)
	debug.SetMemoryLimit(softLimit)
	settings, err := control.SettingsFrom(getenv)
	if err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	if len(settings.PodAddrs) == 0 {
		settings.PodAddrs = capture.PodAddrs()
	}
	identity, err := control.NewIdentity(settings)
	if err != nil {
		return nil, err
	}
	a := &core{settings: settings, identity: identity, level: new(slog.LevelVar)}
	a.level.Set(settings.LogLevel)
	a.log = slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: a.level}))
	a.serving, a.end = context.WithCancel(context.WithoutCancel(ctx))
	a.opener = relay.NewOpener(a.serving, identity)
	return a, nil
}

// applyPlans applies the manager's configurations to set. It returns nil when the manager
// tells the agent to exit, when the manager has been gone for longer than patience, and
// when ctx ends. It returns an error if the manager refuses the agent.
func (a *core) applyPlans(ctx context.Context, set control.Ports, patience control.Patience) error {
	go buffer.ReleaseMemory(ctx)
	client := control.NewClient(a.settings, a.identity, version.Version, a.log)
	client.Patience, client.Level = patience, a.level
	err := client.Enroll(ctx)
	if err == nil {
		err = client.Watch(ctx, set)
	}
	switch {
	case errors.Is(err, context.Canceled): // a signal
		return nil
	case errors.Is(err, control.ErrAbandoned):
		a.log.Info("the agent has no manager any more", "error", err)
		return nil
	}
	return err
}

// close stops capturing. It lets open connections last for a while, although ctx has
// ended.
func (a *core) close(ctx context.Context, set interface{ Close(context.Context) }, last time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
	defer cancel()
	set.Close(ctx)
}
