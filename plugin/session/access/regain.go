package access

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Resume brings back what an earlier process had.
func (a *Access) Resume(ctx context.Context) {
	former := a.cfg.Record.State()
	for _, want := range former.Proxies {
		c := a.begin(ctx, true)
		if _, err := c.openProxy(want); err != nil && ctx.Err() == nil {
			a.cfg.Log.Warn("the proxy is not back", "proxy", want.Address, "error", err)
		}
		c.end()
	}
	a.regain(ctx)
}

// regain asks for the laptop's TUN until it is there, or not wanted any more. Commands
// preempt it.
func (a *Access) regain(ctx context.Context) {
	for a.regainOnce(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.cfg.Times.Reopen):
		}
	}
}

// regainOnce says whether to try again.
func (a *Access) regainOnce(ctx context.Context) bool {
	c := a.begin(ctx, true)
	defer c.end()
	want := a.cfg.Record.State().Device
	if want == nil || a.main != "" {
		c.miss(nil)
		c.closeUnused()
		return false
	}
	attempt, cancel := context.WithTimeout(c.ctx, startTimeout)
	defer cancel()
	err := a.cfg.Explain(attempt, c.setDevice(attempt, *want))
	switch {
	case err == nil:
		c.miss(nil)
		a.cfg.Log.Info("the network is back")
		return false
	case c.ctx.Err() == nil: // else a command preempts
		if c.miss(err) {
			a.cfg.Log.Warn("the network is not back", "error", err)
		}
	}
	return ctx.Err() == nil
}

// whyMissing is what a person reads about a TUN that is missing.
func whyMissing(err error) string {
	if errors.Is(err, handover.ErrGone) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return "intercept-netd is gone: run kubectl intercept connect"
	}
	return err.Error()
}
