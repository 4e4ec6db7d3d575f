package access

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// attached is a TUN of this process.
type attached struct {
	*device.Device
	access   *Access
	upstream *upstream
	want     state.Device // written by a change, under Access.stateMu
	// again is how many of the next renewals ask intercept-netd even if nothing seems to
	// have changed.
	again atomic.Int32
}

// settling is how many renewals follow a change of this machine's network: the resolvers
// of a network may come later than its address.
const settling = 2

// keep keeps the TUN up to date with the cluster's networks and namespaces. If the maker
// of the TUN is gone, so is the TUN; that of the laptop is asked for again.
func (d *attached) keep() {
	ctx, cancel := context.WithCancel(d.upstream.ctx)
	defer cancel()
	go func() {
		select {
		case <-d.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	ticker := time.NewTicker(d.access.cfg.Times.Renew)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-d.upstream.ctx.Done():
			return
		case <-d.Done():
			d.lost()
			return
		case <-ticker.C:
		}
		if d.upstream.pool.State().Carriers == 0 {
			continue // nobody answers
		}
		err := d.renew(ctx)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			d.access.cfg.Log.Warn("the network is not brought up to date", "error", err)
		}
	}
}

// renew brings the TUN up to date with what the cluster has, and with this machine's
// network if that has changed. If a command changes the TUN meanwhile, the command wins.
func (d *attached) renew(ctx context.Context) error {
	a := d.access
	a.stateMu.Lock()
	want := d.want
	a.stateMu.Unlock()
	plan, err := a.view.want(ctx, &want)
	again := d.again.Load()
	if err != nil || again == 0 && d.Wants(*plan) && !d.resolvConfOverwritten(&want) {
		return err
	}
	c := a.take()
	defer c.end()
	if c.devices[want.Socket] != d || !reflect.DeepEqual(d.want, want) {
		return nil
	}
	if err := d.Update(ctx, *plan); err != nil {
		return err
	}
	if again > 0 {
		d.again.CompareAndSwap(again, again-1) // it fails if there was another change
	}
	return nil
}

// resolvConfOverwritten says that another program, such as a DHCP client, has written the
// resolv.conf that named the session's name server.
func (d *attached) resolvConfOverwritten(want *state.Device) bool {
	return !want.Isolated && d.Status().DNSMode == handover.DNSResolvConf && !d.access.cfg.Machine.ResolvConfIsOurs()
}

// lost closes a TUN whose maker is gone.
func (d *attached) lost() {
	a := d.access
	c := a.take()
	mine := c.devices[d.want.Socket] == d
	if mine {
		_ = c.closeDevice(d.want.Socket) // it says what is known: its maker is gone
		if !d.want.Isolated {
			c.miss(handover.ErrGone)
		}
		c.closeUnused()
	}
	c.end()
	if !mine || d.want.Isolated {
		return
	}
	a.cfg.Log.Warn("intercept-netd is gone, and the network with it; asking for it again")
	a.regain(a.running)
}
