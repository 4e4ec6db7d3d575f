package daemon

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// serveMount brings the volumes of a container to this machine.
func (a *api) serveMount(w http.ResponseWriter, r *http.Request) {
	var want socket.Mounting
	if err := decode(w, r, &want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	var got *socket.Volumes
	work, err := a.working()
	if err == nil {
		got, err = work.mount(r.Context(), types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, want.Wish)
	}
	if err != nil {
		http.Error(w, render.Error(err), http.StatusBadGateway)
		return
	}
	answer(w, got)
}

func (w *work) mount(ctx context.Context, key types.NamespacedName, want state.Wish) (*socket.Volumes, error) {
	i, err := w.table.Intercept(ctx, key)
	if err != nil {
		return nil, err
	}
	return w.mounts.Bring(ctx, key.String(), string(i.UID), want)
}

// openFiles opens a stream to the volumes of a container.
func (w *work) openFiles(ctx context.Context, intercept, uid string) (tunnel.Stream, error) {
	return w.open(ctx, &frame.Open{Kind: frame.Files, Intercept: intercept, InterceptUID: uid}, "volumes")
}
