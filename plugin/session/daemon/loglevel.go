package daemon

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/loglevel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// logLevel is the level of the process's log. It can be another one for a while.
type logLevel struct {
	level *slog.LevelVar
	own   slog.Level
	log   *slog.Logger

	mu   sync.Mutex
	back *time.Timer // sets the own level again; nil: it is the own one
}

func newLogLevel(level *slog.LevelVar, log *slog.Logger) *logLevel {
	return &logLevel{level: level, own: level.Level(), log: log}
}

// change sets a level. The own one comes back after a time, which begins anew with each
// change.
func (l *logLevel) change(level slog.Level, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back != nil {
		l.back.Stop()
	}
	l.level.Set(level)
	l.log.Info("another log level is asked for", "to", level, "for", d)
	var back *time.Timer
	back = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.back == back { // no other change has come in between
			l.back = nil
			l.level.Set(l.own)
			l.log.Info("the log level is its own again", "to", l.own)
		}
	})
	l.back = back
}

func (a *api) serveLogLevel(w http.ResponseWriter, r *http.Request) {
	var want socket.LogLevel
	err := decode(w, r, &want)
	level, lerr := loglevel.Parse(want.Level)
	if err != nil || lerr != nil || want.For <= 0 {
		http.Error(w, "want a log level, and for how long", http.StatusBadRequest)
		return
	}
	a.level.change(level, want.For)
}
