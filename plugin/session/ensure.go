package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

const (
	// poll is the pause between two checks of a process that starts or ends.
	poll = 20 * time.Millisecond
	// hangs is how long a process may hold the lock and not answer.
	hangs = 10 * time.Second
	// A process that is not connected yet ends unless a command asks it to stay. A command
	// asks again after holdAgain, and after askAgain if the request failed.
	holdAgain, askAgain = 20 * time.Second, 500 * time.Millisecond
	// moment is how long an error may last before the user hears about it.
	moment = 3 * time.Second
)

// Config determines a session and how to start it.
type Config struct {
	Factory *kube.Factory
	// Transport is "auto", "service-proxy" or "port-forward". Empty is auto.
	Transport string
	// Dir is the session's directory. If it is nil, it is the one in the user's cache
	// directory.
	Dir *state.Dir
	// Command is that of socket.Caller.
	Command string
	// Start starts the process. If it is nil, the process is this program, detached
	// from the terminal.
	Start func(caller *socket.Caller, dir *state.Dir) (*Child, error)
}

// dir opens the directory of a session.
func (c *Config) dir(id *socket.Identity) (*state.Dir, error) {
	if c.Dir != nil {
		return c.Dir, nil
	}
	return state.Open(id.Key)
}

// Ensure returns the session of the context, connected to the traffic-manager. It starts
// the process if none runs. It replaces a process of another build, and a process with
// another transport than the command asks for. It calls progress with texts about what it
// waits for. An error has the session process's own reason, as a message for the user. A
// process that is slow to connect keeps trying after Ensure has returned an error.
func Ensure(ctx context.Context, cfg Config, progress func(string)) (*Client, error) {
	id, err := Identify(cfg.Factory)
	if err != nil {
		return nil, err
	}
	dir, err := cfg.dir(id)
	if err != nil {
		return nil, err
	}
	caller, err := NewCaller(ctx, cfg.Factory, id)
	if err != nil {
		return nil, err
	}
	start := cfg.Start
	if start == nil {
		start = cfg.spawn
	}
	caller.Command = cfg.Command
	e := &ensurer{client: NewClient(dir), caller: caller, transport: cfg.Transport, progress: progress,
		start: func() (*Child, error) { return start(caller, dir) }}
	return e.run(ctx)
}

// NotConnectedError means that the session did not connect in time.
type NotConnectedError struct {
	// Phase is what the session was doing. Last is its last error. Each is "" if it is
	// not known.
	Phase, Last string
	err         error
}

// Error returns a message with Phase and Last.
func (e *NotConnectedError) Error() string {
	switch {
	case e.Last != "":
		return "not connected to the traffic-manager: " + e.Last
	case e.Phase != "":
		return "not connected to the traffic-manager: still " + e.Phase
	}
	return "not connected to the traffic-manager"
}

// Unwrap returns context.DeadlineExceeded.
func (e *NotConnectedError) Unwrap() error { return e.err }

type ensurer struct {
	client    *Client
	caller    *socket.Caller
	transport string
	progress  func(string)
	start     func() (*Child, error)

	child   *Child
	helper  *handover.Client // keeps intercept-netd alive between two processes
	heldPID int              // PID of the process that agreed to stay
	asked   time.Time        // when a process was last asked to stay
	silent  time.Time        // since when the lock is held and no process answers
	said    string
	// failing is since when the process has an error.
	failing time.Time
	last    string // the process's last error
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
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, &NotConnectedError{Phase: e.said, Last: e.last, err: ctx.Err()}
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

// step queries the status once. Then it starts or replaces the process if necessary.
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
		e.child = nil // another process has the lock
	}
	locked, err := e.client.dir.Locked()
	switch {
	case err != nil:
		return false, err
	case !locked:
		e.say("starting session")
		e.asked = time.Time{}
		e.child, err = e.start()
		return false, err
	case e.silent.IsZero():
		e.silent = time.Now()
	case time.Since(e.silent) > hangs:
		return false, fmt.Errorf("a session process holds %s and does not answer: kubectl intercept quit ends it, its log is %s", e.client.dir.Path(), e.client.dir.Log())
	}
	return false, nil
}

// running decides whether a process that answers is ready, must be replaced, or needs
// more time.
func (e *ensurer) running(ctx context.Context, s *Status) (ready bool, err error) {
	if s.LastError != "" {
		e.last = s.LastError
	}
	if s.Build != socket.Build() {
		if e.child != nil && e.child.PID == s.PID {
			// The program's file is another build by now. Replacing its process would
			// not end.
			return false, fmt.Errorf("the plugin was upgraded to version %s while this command of version %s ran: type the command again", s.Version, version.Version)
		}
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
	if e.heldPID != s.PID || time.Since(e.asked) > holdAgain {
		if held, err := e.hold(ctx, s); !held {
			return false, err
		}
	}
	if s.Connected && s.Session != "" && (e.helper == nil || regained(s.Network)) {
		return true, nil
	}
	e.tell(s)
	return false, nil
}

// tell reports the phase of the process. It adds the last error if the process has failed
// for longer than moment.
func (e *ensurer) tell(s *Status) {
	text := s.Phase
	switch {
	case s.LastError == "":
		e.failing = time.Time{}
	case e.failing.IsZero():
		e.failing = time.Now()
	case time.Since(e.failing) > moment:
		why, _, _ := strings.Cut(s.LastError, "\n")
		text += ": " + why
	}
	e.say(text)
}

// hold asks the process to stay for this command, and to take over its credentials.
func (e *ensurer) hold(ctx context.Context, s *Status) (held bool, err error) {
	if e.heldPID != s.PID && time.Since(e.asked) < askAgain {
		return false, nil
	}
	e.asked = time.Now()
	e.tell(s)
	err = e.client.hold(ctx, e.caller)
	switch {
	case errors.Is(err, socket.ErrEnding):
		e.heldPID, e.asked = 0, time.Time{}
		return false, e.client.gone(ctx)
	case errors.Is(err, ErrNotRunning) || ctx.Err() != nil:
		return false, nil // the process is ending: the next step starts another one
	case err != nil:
		e.heldPID, e.last = 0, err.Error()
		return false, nil
	}
	e.heldPID = s.PID
	return true, nil
}

// replace ends the process in favor of another one. It keeps a connection to
// intercept-netd, because a netd that was started on demand ends with its last session.
func (e *ensurer) replace(ctx context.Context) error {
	if s, err := e.client.dir.Load(); err == nil && s.Device != nil && e.helper == nil {
		e.helper, err = handover.Dial(ctx, s.Device.Socket)
		if err != nil {
			e.helper = nil // netd has ended, so there is no network to keep
		}
	}
	return e.client.Replace(ctx)
}

// regained reports whether the session has restored its network, or has an error that
// prevents that.
func regained(n *Network) bool {
	return n == nil || n.Device != nil || n.Missing != "" && n.Missing != socket.Returning
}

func (e *ensurer) release() {
	if e.helper != nil {
		e.helper.Close() // closes the connection, but does not end netd
	}
}

func (e *ensurer) say(text string) {
	if text == "" || text == e.said {
		return
	}
	e.said = text
	if e.progress != nil {
		e.progress(text)
	}
}
