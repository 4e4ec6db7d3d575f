package daemon

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

var errOther = errors.New(string(endOther))

// welcome takes what a command brings: its credentials, which may be newer, and
// its environment. It is socket.ErrEnding if they are of somebody else.
func (p *process) welcome(ctx context.Context, c *socket.Caller) error {
	if err := c.Adopt(); err != nil {
		return err
	}
	if !p.source.Same(c.Credentials) {
		select { // whom to compare with
		case <-p.claimed:
		case <-p.over:
			return socket.ErrEnding
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := p.source.Take(ctx, c.Credentials, c.Origin())
	if errors.Is(err, errOther) {
		return socket.ErrEnding
	}
	return err
}

// verify has new credentials be those of the user that this process is for, in
// the cluster where its Session is: no other may see its token. Otherwise it is
// the end.
func (p *process) verify(ctx context.Context, cfg *rest.Config) error {
	c, err := kube.NewClient(cfg)
	if err != nil {
		return err
	}
	user, err := target.UserInfo(ctx, c)
	if err != nil {
		return err
	}
	p.mu.Lock()
	mine := p.object
	p.mu.Unlock()
	var now v1alpha1.Session
	err = c.Get(ctx, client.ObjectKeyFromObject(mine), &now)
	switch {
	case !sameUser(&mine.Spec, user):
		err = fmt.Errorf("%w: %q instead of %q", errOther, user.Username, mine.Spec.User)
	case apierrors.IsNotFound(err) || err == nil && now.UID != mine.UID:
		err = fmt.Errorf("%w: there is no session %s", errOther, mine.Name)
	case err != nil:
		return err
	default:
		return nil
	}
	p.log.Warn("the session cannot go on", "error", err)
	p.finish(endOther)
	return err
}

// retry has everything tried again that waits.
func (p *process) retry() {
	p.learnt.mu.Lock()
	p.learnt.spare = nil // the server may be another
	p.learnt.mu.Unlock()
	p.pool.Retry()
	if w := p.network.current(); w != nil {
		w.pool.Retry()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines != nil {
		p.lines.Retry()
	}
}
