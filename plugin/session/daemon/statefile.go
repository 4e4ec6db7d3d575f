package daemon

import (
	"log/slog"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// stateFile is the state that the next process takes over, in memory and on disk. It
// implements access.Record and is safe for concurrent use.
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

// Change is update for callers that can go on if the state cannot be saved.
func (r *stateFile) Change(change func(*state.State)) {
	if err := r.update(change); err != nil {
		r.log.Warn("state is not saved", "error", err)
	}
}

// update changes and saves the state. If it cannot be saved, the next update saves it.
func (r *stateFile) update(change func(*state.State)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.state)
	return r.dir.Save(r.state)
}
