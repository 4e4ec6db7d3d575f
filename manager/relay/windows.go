package relay

import (
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

// windows are the budgets in which the windows of users' flows grow.
type windows struct {
	all   *mux.Budget
	users map[string]*userWindows
}

// userWindows are those of one user with sessions.
type userWindows struct {
	budget   *mux.Budget
	sessions int
}

func newWindows() *windows {
	return &windows{all: mux.NewBudget(budget.AllWindows), users: map[string]*userWindows{}}
}

// of returns a user's budget for one session more. The caller must call done when that
// session has ended.
func (w *windows) of(user string) *mux.Budget {
	u := w.users[user]
	if u == nil {
		u = &userWindows{budget: w.all.Part(budget.UserWindows)}
		w.users[user] = u
	}
	u.sessions++
	return u.budget
}

func (w *windows) done(user string) {
	u := w.users[user]
	if u.sessions--; u.sessions == 0 {
		delete(w.users, user)
	}
}
