package session

import (
	"context"
	"fmt"
	"os"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/credentials"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// NewCaller returns a description of this command for the session process. It includes
// the credentials that a credential plugin issued to this command.
func NewCaller(ctx context.Context, f *kube.Factory, id *socket.Identity) (*socket.Caller, error) {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	c := &socket.Caller{Identity: id}
	if c.Args, c.Env, c.Secrets, err = forward(f, id, os.Environ()); err != nil {
		return nil, err
	}
	if c.Dir, err = os.Getwd(); err != nil {
		c.Dir = "" // the working directory has been deleted
	}
	for _, file := range f.Files() {
		if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
			c.Once = true
		}
	}
	c.Credentials, err = credentials.Here(ctx, cfg, c.Env)
	return c, err
}
