package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"reflect"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// attached is a TUN of this process.
type attached struct {
	*device.Device
	want state.Device // guarded by network.look, changed under network.mu
	// again is how many of the next renewals ask netd whatever is wanted.
	again atomic.Int32
}

// settling is how many renewals follow a change of this machine's network: its
// resolvers may come later than its address.
const settling = 2

// moved has everything asked for again that was judged by another network of
// this machine: which routes are free, and who its resolvers are.
func (n *network) moved() {
	n.look.Lock()
	defer n.look.Unlock()
	for _, a := range n.devices {
		a.again.Store(settling)
	}
}

// robbed says that somebody else, such as a DHCP client, has written the
// resolv.conf that led to the cluster.
func (p *process) robbed(a *attached, alone bool) bool {
	return !alone && a.Status().DNSMode == handover.DNSResolvConf && !p.leads()
}

// openDevice begins outbound access by a TUN, or changes it.
func (p *process) openDevice(ctx context.Context, want state.Device) (*socket.Network, error) {
	n := &p.network
	ctx, done, err := p.turn(ctx, false)
	if err != nil {
		return nil, err
	}
	defer done()
	if want.Alone {
		if err := p.haveDevice(ctx, want); err != nil {
			return nil, err
		}
		return n.status(), nil
	}
	p.mu.Lock()
	before := p.state.Device
	p.mu.Unlock()
	want = want.Over(before)
	former := n.main
	if err := p.haveDevice(ctx, want); err != nil {
		err = p.taken(ctx, err)
		if before != nil && former != "" && n.main == "" { // it had to go first: have it back
			n.miss(err)
			go p.regain(p.running)
		}
		return nil, err
	}
	n.miss(nil)
	p.remember(func(s *state.State) { s.Device = &want })
	s := n.status()
	if want.Replaces(before) {
		s.Replaced = before.String()
	}
	return s, nil
}

// haveDevice makes a TUN, or changes it; n.mu is held.
func (p *process) haveDevice(ctx context.Context, want state.Device) error {
	n := &p.network
	defer n.release()
	inside, err := p.inside(ctx, &want)
	if err != nil {
		return err
	}
	if a := n.devices[want.Socket]; a != nil {
		err := a.Update(ctx, *inside)
		if !errors.Is(err, handover.ErrGone) {
			if err == nil {
				n.look.Lock()
				a.want = want
				n.look.Unlock()
			}
			return err
		}
		_ = n.closeDevice(want.Socket) // who made it is gone
	}
	if !want.Alone && n.main != "" {
		if err := n.closeDevice(n.main); err != nil {
			p.log.Warn("the former network is not undone", "error", err)
		}
	}
	w, err := p.use(ctx)
	if err != nil {
		return err
	}
	d, err := p.makeDevice(ctx, w, &want, *inside)
	if err != nil {
		return err
	}
	a := &attached{Device: d, want: want}
	n.look.Lock()
	if n.devices == nil {
		n.devices = map[string]*attached{}
	}
	n.devices[want.Socket] = a
	if !want.Alone {
		n.main = want.Socket
	}
	n.look.Unlock()
	go p.keepDevice(w, a) // ends with the device, and with the way
	return nil
}

func (p *process) makeDevice(ctx context.Context, w *way, want *state.Device, inside device.Want) (*device.Device, error) {
	c := device.Config{Socket: want.Socket, Want: inside, Dialer: w.dialer, Names: p.resolver(w, want.Namespace), Log: p.log}
	if want.Alone {
		c.Direct = (&net.Dialer{}).DialContext
	}
	return device.Open(ctx, c)
}

// closeDevice gives one back; n.mu is held.
func (n *network) closeDevice(at string) error {
	n.look.Lock()
	a := n.devices[at]
	delete(n.devices, at)
	if at == n.main {
		n.main = ""
	}
	n.look.Unlock()
	if a == nil {
		return nil
	}
	return a.Close()
}

// keepDevice follows the cluster's networks and namespaces. If who made the
// TUN is gone, so is the device; the laptop's is asked for again.
func (p *process) keepDevice(w *way, a *attached) {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	go func() {
		select {
		case <-a.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	ticker := time.NewTicker(p.times.renew)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-a.Done():
			p.lostDevice(a)
			return
		case <-ticker.C:
		}
		if w.pool.State().Carriers == 0 {
			continue // there is nobody to ask
		}
		err := p.renewDevice(ctx, a)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			p.log.Warn("the network is not brought up to date", "error", err)
		}
	}
}

// renewDevice brings one up to date: with what the cluster has, and with what
// this machine has if that changed. What a command changes meanwhile counts.
func (p *process) renewDevice(ctx context.Context, a *attached) error {
	n := &p.network
	n.look.Lock()
	want := a.want
	n.look.Unlock()
	inside, err := p.inside(ctx, &want)
	again := a.again.Load()
	if err != nil || again == 0 && a.Wants(*inside) && !p.robbed(a, want.Alone) {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.devices[want.Socket] != a || !reflect.DeepEqual(a.want, want) {
		return nil
	}
	if err := a.Update(ctx, *inside); err != nil {
		return err
	}
	if again > 0 {
		a.again.CompareAndSwap(again, again-1) // else there was another change
	}
	return nil
}

func (p *process) lostDevice(a *attached) {
	n := &p.network
	n.mu.Lock()
	mine := n.devices[a.want.Socket] == a
	if mine {
		_ = n.closeDevice(a.want.Socket) // it says only what is known: who made it is gone
		if !a.want.Alone {
			n.miss(handover.ErrGone)
		}
		n.release()
	}
	n.mu.Unlock()
	if !mine || a.want.Alone {
		return
	}
	p.log.Warn("intercept-netd is gone, and the network with it; asking for it again")
	p.regain(p.running)
}

// regain asks for the laptop's TUN until it is there, or not wanted any more.
// Commands come first.
func (p *process) regain(ctx context.Context) {
	for p.regainOnce(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.times.reopen):
		}
	}
}

// regainOnce says whether to try again.
func (p *process) regainOnce(ctx context.Context) bool {
	n := &p.network
	turn, done, err := p.turn(ctx, true)
	if err != nil {
		return false
	}
	defer done()
	p.mu.Lock()
	want := p.state.Device
	p.mu.Unlock()
	if want == nil || n.main != "" {
		n.miss(nil)
		n.release()
		return false
	}
	attempt, cancel := context.WithTimeout(turn, startTimeout)
	defer cancel()
	err = p.taken(attempt, p.haveDevice(attempt, *want))
	switch {
	case err == nil:
		n.miss(nil)
		p.log.Info("the network is back")
		return false
	case turn.Err() == nil: // else a command interrupts
		if n.miss(err) {
			p.log.Warn("the network is not back", "error", err)
		}
	}
	return ctx.Err() == nil
}

// miss notes why the laptop's TUN is wanted and not there; nil: it is, or is not
// wanted. It says whether that is news.
func (n *network) miss(err error) (news bool) {
	n.look.Lock()
	defer n.look.Unlock()
	news = err != nil && (n.missing == nil || n.missing.Error() != err.Error())
	n.missing = err
	return news
}

// helpless is what a person reads about a TUN that is missing.
func helpless(err error) string {
	if errors.Is(err, handover.ErrGone) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return "intercept-netd is gone: run kubectl intercept connect"
	}
	return err.Error()
}
