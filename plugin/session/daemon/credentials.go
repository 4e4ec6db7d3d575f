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

// accept makes the process use the environment and the credentials of a command, because
// they may be newer than those of the process. It returns socket.ErrEnding if the
// credentials are those of another user.
func (p *process) accept(ctx context.Context, c *socket.Caller) error {
	if err := c.Adopt(); err != nil {
		return err
	}
	if !p.source.Same(c.Credentials) {
		select { // wait until the process knows its user
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

// verify checks that new credentials are those of this process's user, in the cluster that
// has its Session object. If they are not, it ends the process, because nobody else may see
// that session's flows.
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
	case user.Username != mine.Spec.User, err == nil && now.UID == mine.UID && !sameUser(&now, user):
		err = fmt.Errorf("%w: %q instead of %q", errOther, user.Username, mine.Spec.User)
	case apierrors.IsNotFound(err) || err == nil && now.UID != mine.UID:
		err = fmt.Errorf("%w: there is no session %s", errOther, mine.Name)
	case err != nil:
		return err
	default:
		return nil
	}
	p.log.Warn("the session cannot go on", "error", err)
	p.life.end(endOther)
	return err
}
