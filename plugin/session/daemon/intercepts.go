package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// serveTrack makes the process serve an intercept, and stay alive as long as the intercept
// exists.
func (a *api) serveTrack(w http.ResponseWriter, r *http.Request) {
	var want socket.Tracked
	if err := decode(w, r, &want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	if !a.keep(w, want.Program.Command) {
		return
	}
	work, err := a.working()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	former, err := work.track(r.Context(), types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, want.Program)
	switch {
	case errors.Is(err, frame.ErrDenied):
		http.Error(w, render.Error(err), http.StatusForbidden)
	case err != nil:
		http.Error(w, render.Error(err), http.StatusBadGateway)
	default:
		want.Program = former
		answer(w, want)
	}
}

// track serves an intercept, and the ports that lead to the pod which it stands in for. After
// an error the program is the one before. Access that several commands share keeps its ports
// if a command names none.
func (w *work) track(ctx context.Context, key types.NamespacedName, p state.Program) (former state.Program, err error) {
	if p.Access && p.ToPod == "" {
		p.ToPod = w.table.Programs()[key.String()].ToPod
	}
	if former, err = w.table.Track(ctx, key, p); err != nil {
		return former, err
	}
	if err = w.serveToPod(ctx, key, p); err != nil {
		_, back := w.table.Track(ctx, key, former)
		err = errors.Join(err, back, w.serveToPod(ctx, key, former))
	}
	return former, err
}

func (w *work) serveToPod(ctx context.Context, key types.NamespacedName, p state.Program) error {
	return w.toPod.Serve(ctx, key.String(), p.Socket, p.ToPod, w.via(key.String()))
}

// endUnused ends the intercepts by which there is no access any more, and no command opens any.
func (w *work) endUnused(now state.State) {
	via := now.Via()
	w.table.EndWhere(func(key string, p state.Program) bool {
		return p.Access && !via[key] && (p.Command == "" || !w.dir.Lives(p.Command))
	})
}

// serveLeave ends an intercept with the session's own credentials. The command may have
// none, because its kubeconfig may no longer have the context.
func (a *api) serveLeave(w http.ResponseWriter, r *http.Request) {
	var want socket.Leaving
	if err := decode(w, r, &want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	var was *v1alpha1.Intercept
	work, err := a.working()
	if err == nil {
		was, err = work.leave(r.Context(), types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, want.Wait)
	}
	if err != nil {
		http.Error(w, render.Error(err), http.StatusBadGateway)
		return
	}
	answer(w, was)
}

// serveHeaders asks the agents of an intercept which headers requests had.
func (a *api) serveHeaders(w http.ResponseWriter, r *http.Request) {
	var want socket.Asked
	if err := decode(w, r, &want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	var seen *socket.Headers
	work, err := a.working()
	if err == nil {
		seen, err = work.table.Headers(r.Context(), types.NamespacedName{Namespace: want.Namespace, Name: want.Name})
	}
	if err != nil {
		http.Error(w, render.Error(err), http.StatusBadGateway)
		return
	}
	answer(w, seen)
}

// leave deletes an intercept of the user and returns the deleted object. With wait, it
// returns only when the application has its traffic back.
func (w *work) leave(ctx context.Context, key types.NamespacedName, wait bool) (*v1alpha1.Intercept, error) {
	var was v1alpha1.Intercept
	if err := w.client.Get(ctx, key, &was); err != nil {
		return nil, err
	}
	if was.Spec.User != w.object.Spec.User {
		return nil, fmt.Errorf("intercept %s belongs to %s", key, was.Spec.User)
	}
	if err := w.client.Delete(ctx, &was, client.Preconditions{UID: &was.UID}); client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if !wait {
		return &was, nil
	}
	return &was, target.Follow(ctx, w.client, key, func(now *v1alpha1.Intercept) (bool, error) {
		return now == nil || now.UID != was.UID, nil
	})
}
