package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// serveLeave ends an intercept with the session's own credentials: a command
// whose kubeconfig has the context no more has none.
func (p *process) serveLeave(w http.ResponseWriter, r *http.Request) {
	var want socket.Leaving
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	was, err := p.leaveOne(r.Context(), types.NamespacedName{Namespace: want.Namespace, Name: want.Name}, want.Wait)
	if err != nil {
		http.Error(w, render.Error(err), http.StatusBadGateway)
		return
	}
	_ = json.NewEncoder(w).Encode(was) // a command that is gone needs no answer
}

func (p *process) leaveOne(ctx context.Context, key types.NamespacedName, wait bool) (*v1alpha1.Intercept, error) {
	p.mu.Lock()
	c, user := p.client, p.user
	p.mu.Unlock()
	if c == nil {
		return nil, errNotConnected
	}
	var was v1alpha1.Intercept
	if err := c.Get(ctx, key, &was); err != nil {
		return nil, err
	}
	if was.Spec.User != user {
		return nil, fmt.Errorf("intercept %s belongs to %s", key, was.Spec.User)
	}
	if err := c.Delete(ctx, &was, client.Preconditions{UID: &was.UID}); client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if !wait {
		return &was, nil
	}
	return &was, target.Follow(ctx, c, key, func(now *v1alpha1.Intercept) (bool, error) {
		return now == nil || now.UID != was.UID, nil
	})
}
