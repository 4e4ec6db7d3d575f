package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/quit"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// meant are the sessions that the command line means: one, or all.
func meant(ctx context.Context, f *kube.Factory, all bool) ([]session.Known, error) {
	if all {
		return session.All(ctx)
	}
	return session.Selected(ctx, session.Config{Factory: f})
}

// Find is the session's status; nil if none runs.
func (sessions) Find(ctx context.Context, f *kube.Factory) (*session.Status, error) {
	list, err := meant(ctx, f, false)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		switch {
		case k.Status != nil:
			return k.Status, nil
		case k.Locked():
			return nil, fmt.Errorf("the session, process %d, does not answer: kubectl intercept quit ends it", k.PID)
		}
	}
	return nil, nil
}

// Headers asks through the session that runs.
func (sessions) Headers(ctx context.Context, f *kube.Factory, namespace, name string) (*session.Headers, error) {
	c, err := session.Find(ctx, session.Config{Factory: f})
	if err != nil {
		return nil, err
	}
	return c.Headers(ctx, namespace, name)
}

// Traffic asks through the session that runs, or starts one.
func (sessions) Traffic(ctx context.Context, f *kube.Factory, progress func(string)) (*traffic.Report, error) {
	c, err := session.Ensure(ctx, session.Config{Factory: f}, progress)
	if err != nil {
		return nil, err
	}
	progress("counting for a second")
	return c.Traffic(ctx)
}

// Netd asks the one that runs, and lets it go.
func (sessions) Netd(ctx context.Context) (string, error) {
	found, err := netd.Default(genericiooptions.IOStreams{Out: io.Discard, ErrOut: io.Discard}).Running(ctx)
	if found == nil || err != nil {
		return "", err
	}
	return found.Release, found.Close()
}

// LogLevel tells those that answer.
func (sessions) LogLevel(ctx context.Context, f *kube.Factory, want session.LogLevel) (file string, err error) {
	list, err := meant(ctx, f, false)
	for _, k := range list {
		if k.Status != nil {
			file, err = k.Status.LogFile, errors.Join(err, k.Client().LogLevel(ctx, want))
		}
	}
	return file, err
}

// Asked looks at what a dead one has left.
func (sessions) Asked(ctx context.Context, f *kube.Factory) (bool, error) {
	list, err := meant(ctx, f, false)
	for _, k := range list {
		if k.Restores {
			return true, err
		}
	}
	return false, err
}

// Of is what the command line means.
func (sessions) Of(ctx context.Context, f *kube.Factory) ([]session.Known, error) {
	return meant(ctx, f, false)
}

// Others are known by what is on disk.
func (sessions) Others(ctx context.Context, f *kube.Factory) ([]session.Known, error) {
	return session.Others(ctx, session.Config{Factory: f})
}

// Disconnect goes on after a session that fails. Without a kubeconfig no session
// is meant, and the others are told of.
func (s sessions) Disconnect(ctx context.Context, f *kube.Factory, all bool) (ended []session.Known, err error) {
	list, err := meant(ctx, f, all)
	if err != nil {
		return nil, s.refuse(ctx, f, err, "disconnect")
	}
	for _, k := range list {
		was, derr := k.Disconnect(ctx)
		if was && derr == nil {
			ended = append(ended, k)
		}
		err = errors.Join(err, derr)
	}
	return ended, err
}

// Quit goes on after a session that fails.
func (s sessions) Quit(ctx context.Context, f *kube.Factory, all bool) (ended []quit.Ended, err error) {
	list, err := meant(ctx, f, all)
	if err != nil {
		return nil, s.refuse(ctx, f, err, "quit")
	}
	for _, k := range list {
		left, qerr := k.Quit(ctx)
		if qerr == nil {
			ended = append(ended, quit.Ended{Known: k, Left: left})
		}
		err = errors.Join(err, qerr)
	}
	return ended, err
}

// Leave has a session end an intercept.
func (sessions) Leave(ctx context.Context, k *session.Known, namespace, name string, wait bool) (*v1alpha1.Intercept, error) {
	return k.Client().Leave(ctx, namespace, name, wait)
}

// refuse adds to what is wrong with a kubeconfig which sessions there are.
func (s sessions) refuse(ctx context.Context, f *kube.Factory, why error, verb string) error {
	others, err := s.Others(ctx, f)
	if err != nil {
		return errors.Join(why, err)
	}
	text := render.Error(why)
	for _, k := range others {
		text += fmt.Sprintf("\n%s runs on this machine: kubectl intercept %s %s", k.Describe(), verb, k.Flag)
	}
	return errors.New(text)
}
