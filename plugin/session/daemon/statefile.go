package daemon

import (
	"log/slog"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// stateFile has the state that a successor takes over, in memory and on disk. It is
// safe for concurrent use, and implements access.Record.
type stateFile struct {
	dir *state.Dir
	log *slog.Logger

	mu    sync.Mutex
	state state.State
}

// State returns a copy of the state.
func (r *stateFile) State() state.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Change changes the state and saves it. If saving fails, the next Change saves it.
func (r *stateFile) Change(change func(*state.State)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.state)
	if err := r.dir.Save(r.state); err != nil {
		r.log.Warn("state is not saved", "error", err)
	}
}

// set replaces the state.
func (r *stateFile) set(s state.State) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	return r.dir.Save(s)
}
