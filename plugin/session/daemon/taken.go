package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// explainTaken explains ErrTaken, the error when another session holds this machine's DNS.
// It adds which session that is and which command ends it. It returns other errors
// unchanged.
func (p *settings) explainTaken(ctx context.Context, err error) error {
	if !errors.Is(err, handover.ErrTaken) {
		return err
	}
	const otherwise = "or use kubectl intercept connect --proxy"
	dirs, lerr := p.dir.Siblings()
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	dirs = slices.DeleteFunc(dirs, func(d *state.Dir) bool { return d.Path() == p.dir.Path() })
	for _, k := range session.KnownIn(ctx, dirs) {
		s := k.Status
		if s == nil || s.Network == nil || s.Network.Device == nil || s.Network.Device.DNSMode != handover.DNSResolvConf {
			continue
		}
		end := k.FlagWhere(func(name string) string {
			if name == p.id.Context {
				return p.id.Key
			}
			return ""
		})
		return fmt.Errorf("%w; it is that of context %q, user %s at %s: end it with kubectl intercept disconnect %s, %s",
			handover.ErrTaken, k.Context, s.User, s.Server, end, otherwise)
	}
	return fmt.Errorf("%w; it is not one of yours, or has another home folder: whoever connected ends it with kubectl intercept disconnect --all, %s",
		handover.ErrTaken, otherwise)
}
