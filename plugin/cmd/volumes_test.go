package cmd

import (
	"cmp"
	"context"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// oneVolume is mounted where a script can tell of it.
func oneVolume(_ context.Context, _, name string, w state.Wish) (*session.Volumes, error) {
	switch dir := cmp.Or(w.Dir, "/tmp/kubectl-intercept-1000/"+name+"-x7k2p4"); w.How {
	case state.Mounted:
		return &session.Volumes{Dir: dir, Paths: []string{"/etc/quote"}}, nil
	case state.Copied:
		return &session.Volumes{Dir: dir, Paths: []string{"/etc/quote"}, Copied: true, Notice: "The volumes are copied to " + dir + "."}, nil
	}
	return &session.Volumes{}, nil
}
