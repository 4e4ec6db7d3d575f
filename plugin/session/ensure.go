package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

const (
	// poll is how often a process that starts or ends is looked at.
	poll = 20 * time.Millisecond
	// hangs is how long a process may hold the lock and not answer.
	hangs = 10 * time.Second
)

// Config says which session.
type Config struct {
	Factory *kube.Factory
	// Transport is "auto", "service-proxy" or "port-forward". Empty is auto.
	Transport string
}

// Ensure returns the session of the context, connected to the traffic-manager.
// It starts the process when none runs, and replaces one of another build, or
// one that came by another transport than is explicitly asked for. Progress
// hears what it is waiting for. An error is the process's own reason, in words
// for a person; a process that is only slow to connect goes on trying.
func Ensure(ctx context.Context, cfg Config, progress func(string)) (*Client, error) {
	id, err := identify(cfg.Factory)
	if err != nil {
		return nil, err
	}
	dir, err := state.Open(id.key)
	if err != nil {
		return nil, err
	}
	e := &ensurer{client: newClient(dir), transport: cfg.Transport, progress: progress,
		spawn: func() (*child, error) { return spawn(cfg, id, dir) }}
	return e.run(ctx)
}

type ensurer struct {
	client    *Client
	transport string
	progress  func(string)
	spawn     func() (*child, error)

	child  *child
	helper *handover.Client // keeps intercept-netd between two processes
	held   int              // PID of the process that was asked to stay
	silent time.Time        // since when the lock is held and nobody answers
	said   string
	last   string // the process's last error
}

func (e *ensurer) run(ctx context.Context) (*Client, error) {
	defer e.release()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		ready, err := e.step(ctx)
		if ready {
			return e.client, nil
		}
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && e.last != "":
			return nil, fmt.Errorf("not connected to the traffic-manager: %s", e.last)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("wait for the session to connect: %w", ctx.Err())
		case err != nil:
			return nil, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// step looks once and does what is to be done next.
func (e *ensurer) step(ctx context.Context) (ready bool, err error) {
	s, err := e.client.Status(ctx)
	switch {
	case err == nil:
		e.silent = time.Time{}
		return e.running(ctx, s)
	case !errors.Is(err, ErrNotRunning):
		return false, err
	}
	if e.child != nil {
		if exited, err := e.child.exited(); !exited || err != nil {
			return false, err
		}
		e.child = nil // another process was faster
	}
	locked, err := e.client.dir.Locked()
	switch {
	case err != nil:
		return false, err
	case !locked:
		e.say("starting session")
		e.child, err = e.spawn()
		return false, err
	case e.silent.IsZero():
		e.silent = time.Now()
	case time.Since(e.silent) > hangs:
		return false, fmt.Errorf("a session process holds %s and does not answer: end it, its log is %s", e.client.dir.Path(), e.client.dir.Log())
	}
	return false, nil
}

// running judges the process that answers.
func (e *ensurer) running(ctx context.Context, s *Status) (ready bool, err error) {
	e.last = s.LastError
	if s.Build != build() {
		e.say("replacing session of version " + s.Version)
		return false, e.replace(ctx)
	}
	explicit := e.transport != "" && e.transport != carrier.Auto
	if explicit && s.Transport != "" && s.Transport != e.transport {
		e.say("replacing session to use " + e.transport)
		return false, e.replace(ctx)
	}
	if !explicit && s.Forced && !s.Connected && s.LastError != "" {
		e.say("replacing session that cannot connect by " + s.Transport)
		return false, e.replace(ctx)
	}
	if e.held != s.PID {
		if err := e.client.hold(ctx); errors.Is(err, errEnding) {
			return false, e.client.gone(ctx)
		} else if err != nil {
			return false, nil // it ends just now; look again
		}
		e.held = s.PID
	}
	if s.Connected && s.Session != "" && (e.helper == nil || regained(s.Network)) {
		return true, nil
	}
	e.say(s.Phase)
	return false, nil
}

// replace ends the process in favour of another one, for which the network's
// helper stays: one that was started on demand ends with its last session.
func (e *ensurer) replace(ctx context.Context) error {
	if s, err := e.client.dir.Load(); err == nil && s.Device != nil && e.helper == nil {
		e.helper, err = handover.Dial(ctx, s.Device.Socket)
		if err != nil {
			e.helper = nil // it is gone, and the network with it
		}
	}
	return e.client.replace(ctx)
}

// regained says that the network is back, or why not.
func regained(n *Network) bool {
	return n == nil || n.Device != nil || n.Missing != "" && n.Missing != helpless(errComing)
}

func (e *ensurer) release() {
	if e.helper != nil {
		e.helper.Close() // it only hangs up
	}
}

func (e *ensurer) say(text string) {
	if text != "" && text != e.said && e.progress != nil {
		e.said = text
		e.progress(text)
	}
}

// build tells programs apart that must not share a process.
func build() string { return version.Version + "+" + version.Commit() }
