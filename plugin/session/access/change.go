package access

import (
	"context"
	"errors"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// change is the right to change an Access, which one goroutine at a time has. It may read
// the fields of the Access without stateMu, and locks that to write them.
type change struct {
	*Access
	ctx  context.Context // ends when the change is preempted, or with the process
	stop func()
}

// holder is the caller that has the right to change. Others preempt it by interrupt, which
// is nil if that is not possible.
type holder struct {
	interrupt   context.CancelCauseFunc
	preemptible bool // by any command, and not by Disconnect alone
}

var errPreempted = errors.New("another command came in between")

// take waits for the right to change, for a short change that cannot be preempted.
func (a *Access) take() *change {
	a.changeSem <- struct{}{}
	return &change{Access: a, ctx: a.running, stop: func() {}}
}

// begin waits for the right to change, for a command. The context of the change also ends
// with the process, and when the change is preempted: if it is preemptible by any
// command, otherwise by Disconnect alone.
func (a *Access) begin(ctx context.Context, preemptible bool) *change {
	if !preemptible {
		a.preempt(false)
	}
	c := a.take()
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(a.running, func() { cancel(socket.ErrEnding) })
	c.ctx = ctx
	c.stop = func() {
		unlink()
		cancel(nil)
	}
	a.stateMu.Lock()
	a.changing = holder{interrupt: cancel, preemptible: preemptible}
	a.stateMu.Unlock()
	return c
}

// end gives the right back.
func (c *change) end() {
	c.stateMu.Lock()
	c.changing = holder{}
	c.stateMu.Unlock()
	c.stop()
	<-c.changeSem
}

// preempt interrupts the change that is under way, if it is preemptible or all is true.
func (a *Access) preempt(all bool) {
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	if h := a.changing; h.interrupt != nil && (all || h.preemptible) {
		h.interrupt(errPreempted)
	}
}

// open returns the upstream, and opens it if there is none. Call closeUnused if the upstream
// is not used then.
func (c *change) open(ctx context.Context) (*upstream, error) {
	if c.upstream != nil {
		return c.upstream, nil
	}
	u, err := c.cfg.Upstream.open(ctx, c.running, c.cfg.Denials, c.cfg.Log)
	if err != nil {
		return nil, err
	}
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	c.upstream = u
	return u, nil
}

// closeUnused closes the upstream if nothing needs it.
func (c *change) closeUnused() {
	c.stateMu.Lock()
	u := c.upstream
	if u == nil || len(c.proxies) > 0 || len(c.devices) > 0 || c.missing != nil {
		c.stateMu.Unlock()
		return
	}
	c.upstream = nil
	c.stateMu.Unlock()
	u.close()
}

// miss notes why the laptop's TUN is wanted and not there; nil says that it is there, or
// not wanted. It returns whether that is news.
func (c *change) miss(err error) (news bool) {
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	news = err != nil && (c.missing == nil || c.missing.Error() != err.Error())
	c.missing = err
	return news
}
