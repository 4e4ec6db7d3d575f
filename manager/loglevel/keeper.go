// Package loglevel lets this replica and its agents log at the level that is asked for, and
// at their own again when the time is over.
package loglevel

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/loglevel"
)

// every is the pause between two looks at the ConfigMap.
const every = 5 * time.Second

// Keeper looks at the annotation of the traffic-manager's ConfigMap.
type Keeper struct {
	Client          client.Reader
	Namespace, Name string
	Log             *slog.Logger
	// Var is the level of this process, and Own what it is when nothing else is asked for.
	Var *slog.LevelVar
	Own slog.Level
	// Changed is called when Agents returns something else than before.
	Changed func()

	mu    sync.Mutex
	level string
}

// Agents is the level that agents are asked for; "" is their own.
func (k *Keeper) Agents() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.level
}

// NeedLeaderElection says that every replica does this.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Start looks until ctx ends. The own level comes back in time also where the API server does
// not answer any more.
func (k *Keeper) Start(ctx context.Context) error {
	level, until, wrong := "", time.Time{}, ""
	for {
		asked, end, err := k.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			level, until, wrong = asked, end, ""
		case err.Error() != wrong: // once for each
			k.Log.Warn("read which log level is asked for", "error", err)
			wrong = err.Error()
		}
		pause := every
		if level != "" && !time.Now().Before(until) {
			level = ""
		} else if level != "" {
			pause = min(pause, time.Until(until))
		}
		k.apply(level, until)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (k *Keeper) read(ctx context.Context) (level string, until time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, every)
	defer cancel()
	var cm corev1.ConfigMap
	if err := k.Client.Get(ctx, client.ObjectKey{Namespace: k.Namespace, Name: k.Name}, &cm); err != nil {
		return "", time.Time{}, err
	}
	return loglevel.Read(cm.Annotations, time.Now())
}

// apply changes the level if it is another one.
func (k *Keeper) apply(level string, until time.Time) {
	k.mu.Lock()
	same := level == k.level
	k.level = level
	k.mu.Unlock()
	if same {
		return
	}
	if level == "" {
		k.Var.Set(k.Own)
		k.Log.Info("the log level is its own again", "to", k.Own)
	} else if l, err := loglevel.Parse(level); err == nil {
		k.Var.Set(l)
		k.Log.Info("another log level is asked for", "to", level, "until", until)
	}
	k.Changed()
}
