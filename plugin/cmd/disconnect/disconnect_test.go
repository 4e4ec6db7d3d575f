package disconnect

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

// What ended is told, and undone, also where another session fails.
func TestOneFails(t *testing.T) {
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	h := &half{}
	o := &Options{IOStreams: streams, All: true, sessions: h}
	err := o.Run(t.Context())
	if !errors.Is(err, errStuck) || !h.undone || !strings.Contains(errOut.String(), `disconnected the session of context "good"`) {
		t.Errorf("undone %t, %v: %s", h.undone, err, errOut)
	}
}
