package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/access"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// maxRequest is the largest request in bytes. Only a Caller may be larger.
const maxRequest = 64 << 10

// api answers the requests of commands on the socket.
type api struct{ *process }

// routes returns one handler for each request.
func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+socket.PathStatus, func(w http.ResponseWriter, _ *http.Request) { answer(w, a.status()) })
	mux.HandleFunc("POST "+socket.PathHold, a.serveHold)
	mux.HandleFunc("POST "+socket.PathQuit, func(_ http.ResponseWriter, r *http.Request) {
		reason := endQuit
		if r.FormValue("successor") == "true" {
			reason = endReplaced
		}
		a.life.end(reason)
	})
	mux.HandleFunc("POST "+socket.PathIntercepts, a.serveTrack)
	mux.HandleFunc("POST "+socket.PathLeave, a.serveLeave)
	mux.HandleFunc("GET "+socket.PathTraffic, a.serveTraffic)
	mux.HandleFunc("POST "+socket.PathHeaders, a.serveHeaders)
	mux.HandleFunc("POST "+socket.PathProcess, a.serveProcess)
	mux.HandleFunc("POST "+socket.PathMount, a.serveMount)
	mux.HandleFunc("POST "+socket.PathLogLevel, a.serveLogLevel)
	mux.HandleFunc("POST "+socket.PathRelease, a.serveRelease)
	mux.HandleFunc("POST "+socket.PathProxy, a.serveProxy)
	mux.HandleFunc("POST "+socket.PathDevice, a.serveDevice)
	mux.HandleFunc("POST "+socket.PathDisconnect, a.serveDisconnect)
	return mux
}

// answer writes v as JSON. It ignores errors, because they mean that the command is gone.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// decode reads a JSON request.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	return json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(into)
}

// keep keeps the process alive for the command that asks, whose name may be "". If the
// process is ending, keep refuses the request and returns false.
func (a *api) keep(w http.ResponseWriter, command string) bool {
	held := a.life.hold(a.times.hold, command)
	if !held {
		http.Error(w, socket.ErrEnding.Error(), http.StatusConflict)
	}
	return held
}

// serveHold keeps the process alive for a command, and accepts the command's credentials.
func (a *api) serveHold(w http.ResponseWriter, r *http.Request) {
	c, err := socket.ReadCaller(http.MaxBytesReader(w, r.Body, socket.MaxCaller))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !a.keep(w, c.Command) {
		return
	}
	switch err := a.accept(r.Context(), c); {
	case errors.Is(err, socket.ErrEnding):
		http.Error(w, socket.ErrEnding.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, render.Error(err), http.StatusBadGateway)
	}
}

func (a *api) serveProxy(w http.ResponseWriter, r *http.Request) {
	var want state.Proxy
	a.serveNetwork(w, r, &want, func() bool { return want.Namespace != "" },
		func(ctx context.Context, to *access.Access) (*socket.Network, error) { return to.OpenProxy(ctx, want) })
}

func (a *api) serveDevice(w http.ResponseWriter, r *http.Request) {
	var want state.Device
	a.serveNetwork(w, r, &want, func() bool { return want.Namespace != "" && want.Socket != "" },
		func(ctx context.Context, to *access.Access) (*socket.Network, error) { return to.OpenDevice(ctx, want) })
}

// serveNetwork reads a request for access, opens the access, and answers with the network.
func (a *api) serveNetwork(w http.ResponseWriter, r *http.Request, want any, complete func() bool,
	open func(context.Context, *access.Access) (*socket.Network, error)) {
	if err := decode(w, r, want); err != nil || !complete() {
		http.Error(w, "the request is not complete", http.StatusBadRequest)
		return
	}
	if !a.keep(w, "") {
		return
	}
	var n *socket.Network
	work, err := a.working()
	if err == nil {
		n, err = open(r.Context(), work.access)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	work.endUnused(a.record.State()) // what was there before may have been by another pod
	answer(w, n)
}

// serveRelease ends the access that a command holds, and its hold on the process.
func (a *api) serveRelease(w http.ResponseWriter, r *http.Request) {
	holder := r.FormValue("holder")
	if holder == state.Standing {
		http.Error(w, "want the command's name", http.StatusBadRequest)
		return
	}
	work, err := a.working()
	if err == nil {
		err = work.access.Release(r.Context(), holder)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	work.endUnused(a.record.State())
	a.life.release(holder)
}

// serveDisconnect ends the access that kubectl intercept connect began. If the process has
// not begun its work, it forgets the access of the process before.
func (a *api) serveDisconnect(w http.ResponseWriter, _ *http.Request) {
	work, err := a.working()
	if err != nil {
		a.record.Change(func(s *state.State) { s.Proxies, s.Device = nil, nil })
		return
	}
	err = work.access.Disconnect()
	work.endUnused(a.record.State())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}
