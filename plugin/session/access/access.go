package access

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/podnames"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// startTimeout bounds each step that waits for the API server.
const startTimeout = 30 * time.Second

// Record is what a successor of this process brings back. It is safe for concurrent use.
type Record interface {
	// State returns a copy.
	State() state.State
	// Change changes and saves it.
	Change(func(*state.State))
}

// Config is what an Access is made of.
type Config struct {
	Log      *slog.Logger
	Upstream Upstream
	Cluster  Cluster
	Machine  Machine
	Record   Record
	Denials  *outbound.Denials
	// Explain adds to the error of a TUN what the user can do about it.
	Explain func(context.Context, error) error
	// Redial closes the connections to the cluster that are not of this Access, and dials
	// them again.
	Redial func()
	// Via returns the network of the pod that an intercept stands in for.
	Via func(intercept string) PodNetwork
	// Pod returns the "namespace/name" of the pod from which connections by an intercept leave
	// now, and "" while there is none. It asks nobody.
	Pod   func(intercept string) string
	Times Times
}

// PodNetwork is a podnet.Network.
type PodNetwork interface {
	outbound.Opener
	Names(context.Context) (*podnames.Names, error)
	Pod(context.Context) string
}

// Machine is what an Access reads of the laptop.
type Machine struct {
	// ResolvConfIsOurs says that resolv.conf names a session's name server.
	ResolvConfIsOurs func() bool
	// Sources are the addresses from which this machine sends to others: see Sources.
	Sources func(to []netip.Addr) []netip.Addr
}

// Times are how long an Access waits. Tests make them short.
type Times struct {
	// Renew is how often the plan of a TUN is compared with the cluster.
	Renew time.Duration
	// Reopen is the pause before a TUN that is gone is asked for again.
	Reopen time.Duration
	// Glance is how often the route to the API server is checked. That sends no packet.
	Glance time.Duration
	// Undo is how long intercept-netd may take to undo a network.
	Undo time.Duration
}

// DefaultTimes are those of a process that is not tested.
func DefaultTimes() Times {
	return Times{Renew: 5 * time.Second, Reopen: 2 * time.Second, Glance: time.Second, Undo: 10 * time.Second}
}

// Access owns the proxies and the TUNs of a session. It is safe for concurrent use. It
// has more methods than other types because it is all that the process uses of this
// package; what needs the right to change is on change.
type Access struct {
	cfg       Config
	running   context.Context // ends with the work of the process
	view      *clusterView
	changeSem chan struct{} // full while a caller has the right to change: see change

	stateMu  sync.Mutex           // guards what follows, which only a change writes
	upstream *upstream            // nil while nothing needs it
	proxies  []*proxy             // in the order of their opening
	devices  map[string]*attached // by socket
	main     string               // socket of the laptop's own device
	missing  error                // why that one is wanted and not there
	changing holder               // the goroutine that has changeSem
}

// New returns an Access without proxies and TUNs: Resume brings back those of the Record.
// All that is opened ends with ctx.
func New(ctx context.Context, cfg Config) *Access {
	a := &Access{cfg: cfg, running: ctx, view: &clusterView{Cluster: cfg.Cluster, via: cfg.Via, server: &apiServer{config: cfg.Cluster.Config, log: cfg.Log}, log: cfg.Log},
		changeSem: make(chan struct{}, 1), devices: map[string]*attached{}}
	if cfg.Record.State().Device != nil {
		a.missing = errReturning
	}
	return a
}

var errReturning = errors.New(socket.Returning)

// Status describes what there is. It is nil if there is nothing.
func (a *Access) Status() *socket.Network {
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	if len(a.proxies) == 0 && len(a.devices) == 0 && a.missing == nil {
		return nil
	}
	s := &socket.Network{}
	if a.missing != nil {
		s.Missing = whyMissing(a.missing)
	}
	for _, x := range a.proxies {
		s.Proxies = append(s.Proxies, socket.Proxy{Proxy: x.Proxy, Pod: a.leaves(x.Via).Pod})
		s.Proxy, s.Namespace = x.Address, x.Namespace
	}
	for at, d := range a.devices {
		ds := d.Status()
		ds.Leaves = a.leaves(d.want.Via)
		if at == a.main {
			s.Device = &ds
		} else {
			s.Isolated = append(s.Isolated, ds)
		}
	}
	return s
}

// leaves says where connections leave from that are by an intercept; "" is none.
func (a *Access) leaves(via string) device.Leaves {
	if via == "" {
		return device.Leaves{}
	}
	return device.Leaves{Via: via, Pod: a.cfg.Pod(via)}
}

// Online says whether there is anything, or will be.
func (a *Access) Online() bool {
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	return a.upstream != nil || a.missing != nil
}

// current is the upstream, or nil.
func (a *Access) current() *upstream {
	a.stateMu.Lock()
	defer a.stateMu.Unlock()
	return a.upstream
}

// Retry has carriers that wait dial at once. The API server may be another one.
func (a *Access) Retry() {
	a.view.server.forget()
	if u := a.current(); u != nil {
		u.pool.Retry()
	}
}

// Woke acts on a sleep of the machine.
func (a *Access) Woke(gap time.Duration) {
	if u := a.current(); u != nil {
		u.pool.Woke(gap)
	}
}

// Release ends what a command wanted. What that was in place of comes back.
func (a *Access) Release(ctx context.Context, holder string) error {
	c := a.begin(ctx, false)
	defer c.end()
	defer c.closeUnused()
	var before, device *state.Device
	var proxies []state.Proxy
	a.cfg.Record.Change(func(s *state.State) {
		before = s.Device
		s.Release(holder)
		device, proxies = s.Device, s.Proxies
	})
	c.closeProxies(func(x state.Proxy) bool { return !hasProxy(proxies, x.Address) })
	switch {
	case before == nil:
	case device == nil:
		c.miss(nil)
		return c.closeDevice(a.main)
	case device.Replaces(before):
		return c.restore(device)
	}
	return nil
}

// Disconnect ends what connect began. Programs with a network of their own keep it.
func (a *Access) Disconnect() error {
	a.preempt(true)
	c := a.take()
	defer c.end()
	c.closeProxies(func(state.Proxy) bool { return true })
	c.miss(nil)
	err := c.closeDevice(a.main)
	c.closeUnused()
	a.cfg.Record.Change(func(s *state.State) { s.Proxies, s.Device = nil, nil })
	return err
}

// Close ends everything, and leaves it to a successor.
func (a *Access) Close() error {
	c := a.take()
	defer c.end()
	c.closeProxies(func(state.Proxy) bool { return true })
	c.miss(nil)
	var failed error
	for at := range a.devices {
		failed = errors.Join(failed, c.closeDevice(at))
	}
	c.closeUnused()
	return failed
}
