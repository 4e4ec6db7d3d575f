package session

import (
	"encoding/json"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// serveLeave ends an intercept with the session's own credentials: a command
// whose kubeconfig has the context no more has none.
func (p *process) serveLeave(w http.ResponseWriter, r *http.Request) {
	var want tracked
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<10)).Decode(&want); err != nil || want.Namespace == "" || want.Name == "" {
		http.Error(w, "want an intercept's namespace and name", http.StatusBadRequest)
		return
	}
	if err := p.leaveOne(r, types.NamespacedName{Namespace: want.Namespace, Name: want.Name}); err != nil {
		http.Error(w, render.Error(err), http.StatusBadGateway)
	}
}

func (p *process) leaveOne(r *http.Request, key types.NamespacedName) error {
	p.mu.Lock()
	c, user := p.client, p.user
	p.mu.Unlock()
	if c == nil {
		return errNotConnected
	}
	ctx := r.Context()
	var i v1alpha1.Intercept
	err := c.Get(ctx, key, &i)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if i.Spec.User != user {
		return fmt.Errorf("intercept %s belongs to %s", key, i.Spec.User)
	}
	if err := c.Delete(ctx, &i, client.Preconditions{UID: &i.UID}); client.IgnoreNotFound(err) != nil {
		return err
	}
	return target.Follow(ctx, c, key, func(now *v1alpha1.Intercept) (bool, error) {
		return now == nil || now.UID != i.UID, nil
	})
}
