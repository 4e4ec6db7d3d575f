package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/types"

	containers "github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// maxProcess is how many bytes an agent tells of a process, with their lengths.
const maxProcess = containers.MaxSize + 1<<20

// serveProcess asks the agent beside a container what the container's process has.
func (a *api) serveProcess(w http.ResponseWriter, r *http.Request) {
	var want socket.Asked
	if err := decode(w, r, &want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	var got []byte
	work, err := a.working()
	if err == nil {
		got, err = work.process(r.Context(), types.NamespacedName{Namespace: want.Namespace, Name: want.Name})
	}
	if err != nil {
		http.Error(w, render.Error(err), http.StatusBadGateway)
		return
	}
	answer(w, socket.Process{Parts: got})
}

func (w *work) process(ctx context.Context, key types.NamespacedName) ([]byte, error) {
	i, err := w.table.Intercept(ctx, key)
	if err != nil {
		return nil, err
	}
	s, err := w.open(ctx, &frame.Open{Kind: frame.Environment, Intercept: key.String(), InterceptUID: string(i.UID)}, "environment")
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, s.Reset)
	defer stop()
	if err := s.CloseWrite(); err != nil {
		return nil, fmt.Errorf("ask for the environment of intercept %s: %w", key, err)
	}
	return io.ReadAll(io.LimitReader(s, maxProcess))
}

// open opens a flow into a pod, for what the user asks for.
func (w *work) open(ctx context.Context, o *frame.Open, what string) (tunnel.Stream, error) {
	s, err := w.pods.Open(ctx, o)
	switch {
	case errors.Is(err, frame.ErrUnsupported):
		return nil, fmt.Errorf("the agent in the pod is older than this program and does not have the %s: delete the pod, and the one that is made in its place gets a new agent", what)
	case err != nil:
		return nil, fmt.Errorf("ask for the %s of intercept %s: %w", what, o.Intercept, err)
	}
	return s, nil
}
