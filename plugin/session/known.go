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
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

const (
	// askTimeout is how long one of many sessions may take to answer.
	askTimeout = 3 * time.Second
	// quitTimeout is how long a process may take to end by itself, killTimeout how long a
	// killed process may still be there.
	quitTimeout, killTimeout = 12 * time.Second, 5 * time.Second
)

// Known is a session of this user on this machine. It is found by its directory, which needs
// no kubeconfig and no cluster.
type Known struct {
	Context string `json:"context"`
	Server  string `json:"server"`
	User    string `json:"user"`
	// PID is the process's; 0 if none runs, or if one hangs whose PID is not known.
	PID int `json:"pid,omitempty"`
	// Status is the process's answer; nil if none answers.
	Status *Status `json:"session,omitempty"`
	// Asked says that a session is dead and its network would come back with it.
	Asked bool `json:"asked,omitempty"`
	// ManagerNamespace is that of the Session object; "" if that is not known.
	ManagerNamespace string `json:"-"`
	// Flag makes another command line mean this session: "--context NAME", or "--all".
	Flag string `json:"-"`

	dir  *state.Dir
	held bool // by a process
}

// All are the sessions that run, and the dead sessions whose network or intercepts would
// come back.
func All(ctx context.Context) ([]Known, error) {
	dirs, err := state.List()
	if err != nil {
		return nil, err
	}
	return KnownIn(ctx, dirs), nil
}

// Of are the sessions that a command line means: the session of its kubeconfig and flags.
// If the kubeconfig does not have the context that the command line names, they are the
// sessions that began by that name. The error is about the kubeconfig.
func Of(ctx context.Context, cfg Config) ([]Known, error) {
	own, err := dirOf(cfg)
	if err == nil {
		return flagged(KnownIn(ctx, []*state.Dir{own}), cfg), nil
	}
	all, aerr := All(ctx)
	if aerr != nil {
		return nil, errors.Join(err, aerr)
	}
	named := slices.DeleteFunc(all, func(k Known) bool { return !k.named(cfg) })
	if len(named) == 0 {
		return nil, err
	}
	return flagged(named, cfg), nil
}

// Others are all sessions but those that the command line means.
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
		others = slices.DeleteFunc(others, func(k Known) bool { return k.named(cfg) })
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

// named says that a command line names the context by which it began.
func (k *Known) named(cfg Config) bool {
	name := cfg.Factory.Context
	return name != nil && *name != "" && *name == k.Context
}

// KnownIn are the sessions of directories. All are asked at the same time.
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

// ask reads what a directory says of its session, and asks the process. It is false if
// there is neither a process nor anything that would come back with one.
func ask(ctx context.Context, dir *state.Dir) (Known, bool) {
	s, err := dir.Load()
	if err != nil {
		return Known{}, false // it is another user's, or damaged
	}
	k := Known{Context: s.Context, Server: s.Server, User: s.User, ManagerNamespace: s.ManagerNamespace, dir: dir}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if k.Status, err = NewClient(dir).Status(ctx); err == nil {
		k.Context, k.Server, k.User, k.PID = k.Status.Context, k.Status.Server, k.Status.User, k.Status.PID
		k.ManagerNamespace = k.Status.ManagerNamespace
		k.held = true
		return k, true
	}
	if locked, err := dir.Locked(); err == nil && locked {
		k.PID, k.held = dir.PID(), true
		return k, true
	}
	k.Asked = s.Online()
	return k, k.Asked || s.Session != "" && len(s.Intercepts) > 0
}

// flag finds a command line that means this session and no other.
func (k *Known) flag(cfg Config) string {
	const everything = "--all"
	if k.Context == "" {
		return everything
	}
	f := kube.NewFactory()
	f.KubeConfig, f.Context, f.ManagerNamespace = cfg.Factory.KubeConfig, &k.Context, cfg.Factory.ManagerNamespace
	if id, err := Identify(f); err == nil && id.Key != filepath.Base(k.dir.Path()) {
		return everything // the name means another session here
	}
	return "--context " + k.Context
}

// Held says that a process has the session, whether it answers or not.
func (k *Known) Held() bool { return k.held }

// Client speaks to the process.
func (k *Known) Client() *Client { return NewClient(k.dir) }

// Served are the intercepts that the process serves.
func (k *Known) Served() []types.NamespacedName {
	var list []types.NamespacedName
	if k.Status != nil {
		for _, i := range k.Status.Intercepts {
			list = append(list, types.NamespacedName{Namespace: i.Namespace, Name: i.Name})
		}
	}
	return list
}

// Online says that the session gives this machine's programs access to a cluster, or would
// if it were not dead.
func (k *Known) Online() bool { return k.Asked || k.Status != nil && k.Status.Network.Online() }

// Disconnect ends what connect began. It is false if there was nothing.
func (k *Known) Disconnect(ctx context.Context) (bool, error) {
	switch {
	case k.Status != nil && !k.Status.Network.Online():
		return false, nil
	case k.Status != nil:
		return true, k.Client().Disconnect(ctx)
	case k.held:
		return false, fmt.Errorf("%s, process %d, does not answer: kubectl intercept quit ends it, its log is %s", k.Named(), k.PID, k.dir.Log())
	}
	return forget(k.dir, offline)
}

// Quit ends the session: what connect began, its intercepts, its process and its Session
// object. It kills a process that does not end by itself. It returns the name of a Session
// object that the cluster does not delete now.
func (k *Known) Quit(ctx context.Context) (left string, err error) {
	if k.held {
		if err := k.end(ctx); err != nil {
			return "", err
		}
	}
	_, err = forget(k.dir, func(s *state.State) {
		left = s.Session
		s.Clear()
	})
	return left, err
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

// Named says to a person which session it is.
func (k *Known) Named() string {
	if k.Context == "" {
		return "the session in " + filepath.Base(k.dir.Path())
	}
	return fmt.Sprintf("the session of context %q", k.Context)
}
