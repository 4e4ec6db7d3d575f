package daemon

import (
	"encoding/json"
	"errors"
	"net/http"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// routes is the API of the process on its socket.
func (p *process) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+socket.PathStatus, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The peer may be gone; nobody is left to tell then.
		_ = json.NewEncoder(w).Encode(p.status())
	})
	mux.HandleFunc("POST "+socket.PathHold, p.serveHold)
	mux.HandleFunc("POST "+socket.PathQuit, func(w http.ResponseWriter, r *http.Request) {
		reason := endQuit
		if r.FormValue("successor") == "true" {
			reason = endReplaced
		}
		p.finish(reason)
	})
	mux.HandleFunc("POST "+socket.PathIntercepts, p.track)
	mux.HandleFunc("POST "+socket.PathLeave, p.serveLeave)
	mux.HandleFunc("POST "+socket.PathRelease, p.serveRelease)
	mux.HandleFunc("POST "+socket.PathProxy, p.serveProxy)
	mux.HandleFunc("POST "+socket.PathDevice, p.serveDevice)
	mux.HandleFunc("POST "+socket.PathDisconnect, func(w http.ResponseWriter, _ *http.Request) {
		if err := p.disconnect(); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	return mux
}

// serveHold keeps the process for a command, which says with what it comes.
func (p *process) serveHold(w http.ResponseWriter, r *http.Request) {
	c, err := socket.ReadCaller(http.MaxBytesReader(w, r.Body, socket.MaxCaller))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !p.hold() {
		http.Error(w, socket.ErrEnding.Error(), http.StatusConflict)
		return
	}
	switch err := p.welcome(r.Context(), c); {
	case errors.Is(err, socket.ErrEnding):
		http.Error(w, socket.ErrEnding.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, render.Error(err), http.StatusBadGateway)
	}
}

func (p *process) track(w http.ResponseWriter, r *http.Request) {
	var want socket.Tracked
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	if !p.hold() {
		http.Error(w, socket.ErrEnding.Error(), http.StatusConflict)
		return
	}
	p.mu.Lock()
	table := p.table
	p.mu.Unlock()
	if table == nil {
		http.Error(w, "the session is not connected yet", http.StatusServiceUnavailable)
		return
	}
	former, err := table.Track(r.Context(), types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, want.Socket)
	switch {
	case errors.Is(err, tunnel.ErrDenied):
		http.Error(w, render.Error(err), http.StatusForbidden)
	case err != nil:
		http.Error(w, render.Error(err), http.StatusBadGateway)
	default:
		want.Socket = former
		_ = json.NewEncoder(w).Encode(want) // a command that does not read it has no need
	}
}
