package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// listen opens the socket. Whoever calls it holds the lock, so a socket that
// is there is a crashed process's.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the session's socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the session's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the session's socket: %w", err)
	}
	return ownListener{l}, nil
}

// ownListener accepts connections of this user only.
type ownListener struct{ net.Listener }

// Accept implements net.Listener.
func (l ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if u, ok := c.(*net.UnixConn); ok {
			if uid, err := peerUID(u); err == nil && uid == os.Getuid() {
				return c, nil
			}
		}
		c.Close()
	}
}

// routes is the API of the process on its socket.
func (p *process) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The peer may be gone; nobody is left to tell then.
		_ = json.NewEncoder(w).Encode(p.status())
	})
	mux.HandleFunc("POST /hold", p.serveHold)
	mux.HandleFunc("POST /quit", func(w http.ResponseWriter, r *http.Request) {
		reason := endQuit
		if r.FormValue("successor") == "true" {
			reason = endReplaced
		}
		p.finish(reason)
	})
	mux.HandleFunc("POST /intercepts", p.track)
	mux.HandleFunc("POST /leave", p.serveLeave)
	mux.HandleFunc("POST /release", p.serveRelease)
	mux.HandleFunc("POST /proxy", p.serveProxy)
	mux.HandleFunc("POST /device", p.serveDevice)
	mux.HandleFunc("POST /disconnect", func(w http.ResponseWriter, _ *http.Request) {
		if err := p.disconnect(); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	return mux
}

// serveHold keeps the process for a command, which says with what it comes.
func (p *process) serveHold(w http.ResponseWriter, r *http.Request) {
	c, err := readCaller(http.MaxBytesReader(w, r.Body, maxCaller))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !p.hold() {
		http.Error(w, errEnding.Error(), http.StatusConflict)
		return
	}
	switch err := p.welcome(r.Context(), c); {
	case errors.Is(err, errEnding):
		http.Error(w, errEnding.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, render.Error(err), http.StatusBadGateway)
	}
}

// tracked is an intercept that the process is told of. Socket is that of who
// started the program in a network of its own; "" is this machine's network. The
// answer is what it was before.
type tracked struct{ Namespace, Name, Socket string }

func (p *process) track(w http.ResponseWriter, r *http.Request) {
	var want tracked
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	if !p.hold() {
		http.Error(w, errEnding.Error(), http.StatusConflict)
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
	case errors.Is(err, frame.ErrDenied):
		http.Error(w, render.Error(err), http.StatusForbidden)
	case err != nil:
		http.Error(w, render.Error(err), http.StatusBadGateway)
	default:
		want.Socket = former
		_ = json.NewEncoder(w).Encode(want) // a command that does not read it has no need
	}
}
