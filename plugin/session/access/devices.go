package access

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/clusterdns"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// OpenDevice begins access by a TUN, or changes the TUN.
func (a *Access) OpenDevice(ctx context.Context, want state.Device) (*socket.Network, error) {
	c := a.begin(ctx, false)
	defer c.end()
	if want.Isolated {
		if err := c.setDevice(c.ctx, want); err != nil {
			return nil, err
		}
		return a.Status(), nil
	}
	before := a.cfg.Record.State().Device
	want = want.Covering(before)
	former := a.main
	if err := c.setDevice(c.ctx, want); err != nil {
		err = a.cfg.Explain(c.ctx, err)
		if before != nil && former != "" && a.main == "" { // it had to go first: bring it back
			c.miss(err)
			go a.regain(a.running)
		}
		return nil, err
	}
	c.miss(nil)
	a.cfg.Record.Change(func(s *state.State) { s.Device = &want })
	s := a.Status()
	if want.Replaces(before) {
		s.Replaced = before.String()
	}
	return s, nil
}

// setDevice makes a TUN, or changes it. A TUN for the whole laptop takes the place of the
// one before.
func (c *change) setDevice(ctx context.Context, want state.Device) error {
	defer c.closeUnused()
	plan, err := c.view.want(ctx, &want)
	if err != nil {
		return err
	}
	if d := c.devices[want.Socket]; d != nil && d.want.Via != want.Via {
		if err := c.closeDevice(want.Socket); err != nil { // its connections are those of another pod
			c.cfg.Log.Warn("the former network is not undone", "error", err)
		}
	}
	if d := c.devices[want.Socket]; d != nil {
		err := d.Update(ctx, *plan)
		if !errors.Is(err, handover.ErrGone) {
			if err == nil {
				c.stateMu.Lock()
				d.want = want
				c.stateMu.Unlock()
			}
			return err
		}
		_ = c.closeDevice(want.Socket) // it says what is known: its maker is gone
	}
	if !want.Isolated && c.main != "" {
		if err := c.closeDevice(c.main); err != nil {
			c.cfg.Log.Warn("the former network is not undone", "error", err)
		}
	}
	u, err := c.open(ctx)
	if err != nil {
		return err
	}
	dialer := u.from(want.Via, c.cfg.Via)
	cfg := device.Config{Socket: want.Socket, Want: *plan, Dialer: dialer, DNS: &clusterdns.Client{Dialer: dialer}, Log: c.cfg.Log, Undo: c.cfg.Times.Undo}
	if want.Isolated {
		cfg.Direct = (&net.Dialer{}).DialContext
	}
	made, err := device.Open(ctx, cfg)
	if err != nil {
		return err
	}
	d := &attached{Device: made, access: c.Access, upstream: u, want: want}
	c.stateMu.Lock()
	c.devices[want.Socket] = d
	if !want.Isolated {
		c.main = want.Socket
	}
	c.stateMu.Unlock()
	go d.keep() // ends with the device, and with the upstream
	return nil
}

// closeDevice gives a TUN back. It does nothing if there is none.
func (c *change) closeDevice(at string) error {
	c.stateMu.Lock()
	d := c.devices[at]
	delete(c.devices, at)
	if at == c.main {
		c.main = ""
	}
	c.stateMu.Unlock()
	if d == nil {
		return nil
	}
	return d.Close()
}

// restore brings a former network back after the command that had another one.
func (c *change) restore(want *state.Device) error {
	if err := c.setDevice(c.ctx, *want); err != nil {
		c.miss(err)
		go c.regain(c.running)
		return fmt.Errorf("bring the former network back (%s): %w", want, err)
	}
	return nil
}
