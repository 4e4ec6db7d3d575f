package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/mounts"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

const (
	// askTimeout is how long a session may take to answer when all sessions are listed.
	askTimeout = 3 * time.Second
	// quitTimeout is how long a process may take to end by itself. killTimeout is how long
	// a process may take to end after it has been killed.
	quitTimeout, killTimeout = 12 * time.Second, 5 * time.Second
)

// Known is a session of this user on this machine. It is found through its directory, so
// neither a kubeconfig nor a cluster is needed.
type Known struct {
	Context string `json:"context"`
	Server  string `json:"server"`
	User    string `json:"user"`
	// PID is the PID of the session process. It is 0 if no process runs, and if a process
	// does not answer and its PID is not known.
	PID int `json:"pid,omitempty"`
	// Status is the status of the process. It is nil if no process answers.
	Status *Status `json:"session,omitempty"`
	// Restores means that no process runs, and that the next one would restore the network.
	Restores bool `json:"asked,omitempty"`
	// ManagerNamespace is the namespace of the Session object, and "" if it is not known.
	ManagerNamespace string `json:"-"`
	// Flag is the flag by which a command line selects this session: "--context NAME", or
	// "--all".
	Flag string `json:"-"`

	dir    *state.Dir
	locked bool // a process holds the session's lock
}

// All returns the running sessions, and the dead sessions whose network or intercepts the
// next process would restore.
func All(ctx context.Context) ([]Known, error) {
	dirs, err := state.List()
	if err != nil {
		return nil, err
	}
	return KnownIn(ctx, dirs), nil
}

// Selected returns the sessions that a command line selects. Usually that is the session of its
// kubeconfig and flags. If the kubeconfig does not have the context that the command line
// names, Selected returns the sessions that were started with a context of that name. The error
// is about the kubeconfig.
func Selected(ctx context.Context, cfg Config) ([]Known, error) {
	own, err := dirOf(cfg)
	if err == nil {
		return flagged(KnownIn(ctx, []*state.Dir{own}), cfg), nil
	}
	all, aerr := All(ctx)
	if aerr != nil {
		return nil, errors.Join(err, aerr)
	}
	selected := slices.DeleteFunc(all, func(k Known) bool { return !k.inContextOf(cfg) })
	if len(selected) == 0 {
		return nil, err
	}
	return flagged(selected, cfg), nil
}

// Others returns all sessions except those that the command line selects.
func Others(ctx context.Context, cfg Config) ([]Known, error) {
	dirs, err := state.List()
	if err != nil {
		return nil, err
	}
	own, err := dirOf(cfg)
	if err == nil { // do not ask it
		dirs = slices.DeleteFunc(dirs, func(d *state.Dir) bool { return d.Path() == own.Path() })
	}
	others := KnownIn(ctx, dirs)
	if err != nil {
		others = slices.DeleteFunc(others, func(k Known) bool { return k.inContextOf(cfg) })
	}
	return flagged(others, cfg), nil
}

// flagged sets the Flag of each session.
func flagged(list []Known, cfg Config) []Known {
	for n := range list {
		list[n].Flag = list[n].flag(cfg)
	}
	return list
}

// inContextOf reports whether a command line names the context with which the session was
// started.
func (k *Known) inContextOf(cfg Config) bool {
	name := cfg.Factory.Context
	return name != nil && *name != "" && *name == k.Context
}

// KnownIn returns the sessions of directories. It queries their processes concurrently.
func KnownIn(ctx context.Context, dirs []*state.Dir) []Known {
	found, worth := make([]Known, len(dirs)), make([]bool, len(dirs))
	var wg sync.WaitGroup
	for n, dir := range dirs {
		wg.Go(func() { found[n], worth[n] = ask(ctx, dir) })
	}
	wg.Wait()
	var list []Known
	for n, k := range found {
		if worth[n] {
			list = append(list, k)
		}
	}
	return list
}

// ask reads the saved state of a session and queries its process. It returns false if
// there is no process, and nothing that the next process would restore.
func ask(ctx context.Context, dir *state.Dir) (Known, bool) {
	s, err := dir.Load()
	if err != nil {
		return Known{}, false // the state is another user's, or damaged
	}
	k := Known{Context: s.Context, Server: s.Server, User: s.User, ManagerNamespace: s.ManagerNamespace, dir: dir}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if k.Status, err = NewClient(dir).Status(ctx); err == nil {
		k.Context, k.Server, k.User, k.PID = k.Status.Context, k.Status.Server, k.Status.User, k.Status.PID
		k.ManagerNamespace = k.Status.ManagerNamespace
		k.locked = true
		return k, true
	}
	if locked, err := dir.Locked(); err == nil && locked {
		k.PID, k.locked = dir.PID(), true
		return k, true
	}
	k.Restores = s.Online()
	return k, k.Restores || s.Session != "" && len(s.Intercepts) > 0
}

// flag returns a flag that selects this session on command lines like that of cfg.
func (k *Known) flag(cfg Config) string {
	return k.FlagWhere(func(name string) string {
		f := kube.NewFactory()
		f.KubeConfig, f.Context, f.ManagerNamespace = cfg.Factory.KubeConfig, &name, cfg.Factory.ManagerNamespace
		id, err := Identify(f)
		if err != nil {
			return ""
		}
		return id.Key
	})
}

// FlagWhere returns a flag that selects this session: "--context NAME", or "--all" if NAME
// means another session to the caller. keyOf returns the key of the session that a context's
// name means to the caller, or "" if the caller does not know that.
func (k *Known) FlagWhere(keyOf func(context string) string) string {
	const everything = "--all"
	if k.Context == "" {
		return everything
	}
	if key := keyOf(k.Context); key != "" && key != filepath.Base(k.dir.Path()) {
		return everything
	}
	return "--context " + k.Context
}

// Locked reports whether a process holds the session's lock. The process may hang.
func (k *Known) Locked() bool { return k.locked }

// Client returns a Client of the session process.
func (k *Known) Client() *Client { return NewClient(k.dir) }

// Served returns the names of the intercepts that the process serves.
func (k *Known) Served() []types.NamespacedName {
	var list []types.NamespacedName
	if k.Status != nil {
		for _, i := range k.Status.Intercepts {
			list = append(list, types.NamespacedName{Namespace: i.Namespace, Name: i.Name})
		}
	}
	return list
}

// Online reports whether the session gives programs on this machine access to a cluster.
// It is also true for a dead session if the next process would restore that access.
func (k *Known) Online() bool { return k.Restores || k.Status != nil && k.Status.Network.Online() }

// Disconnect ends the access to the cluster that the command connect has started. It
// returns false if there was no such access.
func (k *Known) Disconnect(ctx context.Context) (bool, error) {
	switch {
	case k.Status != nil && !k.Status.Network.Online():
		return false, nil
	case k.Status != nil:
		return true, k.Client().Disconnect(ctx)
	case k.locked:
		return false, fmt.Errorf("%s, process %d, does not answer: kubectl intercept quit ends it, its log is %s", k.Describe(), k.PID, k.dir.Log())
	}
	return forget(k.dir, offline)
}

// Quit ends the session: its access to the cluster, its intercepts, its process and its
// Session object. It kills a process that does not end by itself. Left is the name of a
// Session object that could not be deleted now, or "".
func (k *Known) Quit(ctx context.Context) (left string, err error) {
	if k.locked {
		if err := k.end(ctx); err != nil {
			return "", err
		}
	}
	_, ferr := forget(k.dir, func(s *state.State) {
		left = s.Session
		err = mounts.Remove(k.dir, s)
		s.Clear()
	})
	return left, errors.Join(err, ferr)
}

func (k *Known) end(ctx context.Context) error {
	c := k.Client()
	qctx, cancel := context.WithTimeout(ctx, quitTimeout)
	defer cancel()
	err := c.Quit(qctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if locked, lerr := k.dir.Locked(); lerr != nil || !locked {
		return lerr
	}
	if k.PID = k.dir.PID(); k.PID == 0 { // of the process that holds it now
		return fmt.Errorf("a session process holds %s and does not answer: end it, its log is %s", k.dir.Path(), k.dir.Log())
	}
	p, err := os.FindProcess(k.PID)
	if err == nil {
		err = p.Kill()
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill session process %d: %w", k.PID, err)
	}
	ctx, cancel = context.WithTimeout(ctx, killTimeout)
	defer cancel()
	return c.gone(ctx)
}

// Describe returns a description of the session for messages.
func (k *Known) Describe() string {
	if k.Context == "" {
		return "the session in " + filepath.Base(k.dir.Path())
	}
	return fmt.Sprintf("the session of context %q", k.Context)
}
