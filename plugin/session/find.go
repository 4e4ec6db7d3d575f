package session

import (
	"context"
	"errors"
	"io"
	"reflect"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// forgetTimeout is how long another command may hold the session's lock. If the lock is
// held for longer, a session process holds it.
const forgetTimeout = 200 * time.Millisecond

// Find returns the running session of the context, or ErrNotRunning.
func Find(ctx context.Context, cfg Config) (*Client, error) {
	id, err := Identify(cfg.Factory)
	if err != nil {
		return nil, err
	}
	dir, err := cfg.dir(id)
	if err != nil {
		return nil, err
	}
	c := NewClient(dir)
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	if s.Rejected { // the API server rejected the process's credentials; this command's may be valid
		if caller, err := NewCaller(ctx, cfg.Factory, id); err == nil {
			_ = c.hold(ctx, caller) // the status says what came of it
		}
	}
	return c, nil
}

// Ask returns the status of the context's session. It returns nil if no session runs.
func Ask(ctx context.Context, cfg Config) (*Status, error) {
	c, err := Find(ctx, cfg)
	if errors.Is(err, ErrNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.Status(ctx)
}

// Command shows the session process that this command is running, until the Closer is
// closed or the command ends. Holder is the name under which the command asks for access.
func Command(cfg Config, holder string) (io.Closer, error) {
	dir, err := dirOf(cfg)
	if err != nil {
		return nil, err
	}
	return dir.Command(holder)
}

// ForgetCommand removes the access of a command from the saved state, so that the next
// session process does not restore it. Holder is the name under which the command asked for
// access. ForgetCommand does nothing while a session process runs.
func ForgetCommand(cfg Config, holder string) error {
	dir, err := dirOf(cfg)
	if err != nil {
		return err
	}
	_, err = forget(dir, func(s *state.State) { s.Release(holder) })
	return err
}

// offline removes the network from the saved state, so that the next process does not
// restore it.
func offline(s *state.State) { s.Proxies, s.Device = nil, nil }

// forget changes the state that a dead process has saved. It reports whether the next
// process would have restored a network.
func forget(dir *state.Dir, change func(*state.State)) (was bool, err error) {
	lock, err := dir.Lock()
	// A command that checks whether there is a process holds the lock for a moment.
	for deadline := time.Now().Add(forgetTimeout); errors.Is(err, state.ErrLocked) && time.Now().Before(deadline); lock, err = dir.Lock() {
		time.Sleep(poll)
	}
	if errors.Is(err, state.ErrLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Unlock()
	s, err := dir.Load()
	if err != nil {
		return false, err
	}
	was, before := s.Online(), s
	if change(&s); reflect.DeepEqual(s, before) {
		return was, nil
	}
	return was, dir.Save(s)
}

// Folder returns the directory of the session that a command line means, whether a process
// runs or not.
func Folder(cfg Config) (*state.Dir, error) { return dirOf(cfg) }

func dirOf(cfg Config) (*state.Dir, error) {
	id, err := Identify(cfg.Factory)
	if err != nil {
		return nil, err
	}
	return cfg.dir(id)
}
