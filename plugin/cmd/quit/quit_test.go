package quit

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// half has a session that ends and one that does not.
type half struct{ undone bool }

var errStuck = errors.New("it hangs")

func (*half) Disconnect(context.Context, *kube.Factory, bool) ([]session.Known, error) {
	return []session.Known{{Context: "good"}}, errStuck
}

func (*half) Others(context.Context, *kube.Factory) ([]session.Known, error) { return nil, nil }

func (h *half) Undo(context.Context, genericiooptions.IOStreams) error {
	h.undone = true
	return nil
}

func (*half) Quit(context.Context, *kube.Factory, bool) ([]Ended, error) {
	return []Ended{{Known: session.Known{Context: "good", ManagerNamespace: "infra"}, Left: "jane-1"}}, errStuck
}

// What ended is told, and undone, also where another session fails. What is left
// of one is named with its namespace, also where its process was dead.
func TestOneFails(t *testing.T) {
	for name, test := range map[string]struct {
		networkOnly bool
		want        []string
	}{
		"quit":    {false, []string{`the session of context "good" has ended`, "kubectl delete session jane-1 -n infra"}},
		"network": {true, []string{`disconnected the session of context "good"`}},
	} {
		streams, _, _, errOut := genericiooptions.NewTestIOStreams()
		h := &half{}
		o := &Options{IOStreams: streams, All: true, NetworkOnly: test.networkOnly, sessions: h}
		if err := o.Run(t.Context()); !errors.Is(err, errStuck) || !h.undone {
			t.Errorf("%s: undone %t, %v", name, h.undone, err)
		}
		for _, want := range test.want {
			if !strings.Contains(errOut.String(), want) {
				t.Errorf("%s says no %q: %s", name, want, errOut)
			}
		}
	}
}
