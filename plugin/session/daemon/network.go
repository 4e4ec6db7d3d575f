package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// network is what there is of a Network. Everything shares a way, which is
// there as long as anything is.
type network struct {
	mu      sync.Mutex // held while it changes
	look    sync.Mutex // guards what follows
	way     *way
	proxies []*proxy             // in the order of their opening
	devices map[string]*attached // by socket
	main    string               // socket of the laptop's own device
	missing error                // why that is wanted and not there
	// interrupt ends the wait of who holds mu; yields: any command may.
	interrupt context.CancelCauseFunc
	yields    bool
}

var errInterrupted = errors.New("another command came in between")

// turn waits for the turn to change the network. The context also ends with the
// process, and when who comes later does not wait: who yields makes way for any
// command, the others for disconnect alone. Done ends the turn.
func (p *process) turn(ctx context.Context, yields bool) (_ context.Context, done func(), err error) {
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if running == nil {
		return nil, nil, errNotConnected
	}
	n := &p.network
	if !yields {
		n.hurry(false)
	}
	n.mu.Lock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(running, func() { cancel(socket.ErrEnding) })
	n.look.Lock()
	n.interrupt, n.yields = cancel, yields
	n.look.Unlock()
	return ctx, func() {
		n.look.Lock()
		n.interrupt = nil
		n.look.Unlock()
		stop()
		cancel(nil)
		n.mu.Unlock()
	}, nil
}

// hurry interrupts who has the turn.
func (n *network) hurry(all bool) {
	n.look.Lock()
	defer n.look.Unlock()
	if n.interrupt != nil && (all || n.yields) {
		n.interrupt(errInterrupted)
	}
}

// use returns the way, opened if need be; n.mu is held. Call release when
// nothing came of it.
func (p *process) use(ctx context.Context) (*way, error) {
	n := &p.network
	if n.way != nil {
		return n.way, nil
	}
	w, err := p.openWay(ctx)
	if err != nil {
		return nil, err
	}
	n.look.Lock()
	defer n.look.Unlock()
	n.way = w
	return w, nil
}

// release closes the way if nothing needs it; n.mu is held.
func (n *network) release() {
	n.look.Lock()
	w := n.way
	if w == nil || len(n.proxies) > 0 || len(n.devices) > 0 || n.missing != nil {
		n.look.Unlock()
		return
	}
	n.way = nil
	n.look.Unlock()
	w.close()
}

// hangUp ends everything.
func (n *network) hangUp() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closeProxies(func(state.Proxy) bool { return true })
	n.miss(nil)
	var failed error
	for at := range n.devices {
		failed = errors.Join(failed, n.closeDevice(at))
	}
	n.release()
	return failed
}

// disconnect ends what connect began. Programs with a network of their own
// keep it.
func (p *process) disconnect() error {
	n := &p.network
	n.hurry(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closeProxies(func(state.Proxy) bool { return true })
	n.miss(nil)
	err := n.closeDevice(n.main)
	n.release()
	p.remember(func(s *state.State) { s.Proxies, s.Device = nil, nil })
	return err
}

// status is nil if there is nothing.
func (n *network) status() *socket.Network {
	n.look.Lock()
	defer n.look.Unlock()
	if len(n.proxies) == 0 && len(n.devices) == 0 && n.missing == nil {
		return nil
	}
	s := &socket.Network{}
	if n.missing != nil {
		s.Missing = helpless(n.missing)
	}
	for _, x := range n.proxies {
		s.Proxies = append(s.Proxies, x.Proxy)
		s.Proxy, s.Namespace = x.Address, x.Namespace
	}
	for at, d := range n.devices {
		ds := d.Status()
		if at == n.main {
			s.Device = &ds
		} else {
			s.Alone = append(s.Alone, ds)
		}
	}
	return s
}

// online says whether there is anything, or shall be.
func (n *network) online() bool {
	n.look.Lock()
	defer n.look.Unlock()
	return n.way != nil || n.missing != nil
}

// current is the way, or nil.
func (n *network) current() *way {
	n.look.Lock()
	defer n.look.Unlock()
	return n.way
}

// remember notes what a successor will bring back.
func (p *process) remember(change func(*state.State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.state)
	p.save()
}

// reconnect brings back what an earlier process had.
func (p *process) reconnect(ctx context.Context) {
	p.mu.Lock()
	proxies, dev := slices.Clone(p.state.Proxies), p.state.Device
	p.mu.Unlock()
	if dev != nil {
		p.network.miss(errComing)
	}
	for _, proxy := range proxies {
		if _, err := p.openProxy(ctx, proxy, true); err != nil && ctx.Err() == nil {
			p.log.Warn("the proxy is not back", "proxy", proxy.Address, "error", err)
		}
	}
	if dev != nil {
		p.regain(ctx)
	}
}

var errComing = errors.New(socket.Returning)

func (p *process) serveProxy(w http.ResponseWriter, r *http.Request) {
	var want state.Proxy
	serveNetwork(p, w, r, &want, func() bool { return want.Namespace != "" },
		func() (*socket.Network, error) { return p.openProxy(r.Context(), want, false) })
}

func (p *process) serveDevice(w http.ResponseWriter, r *http.Request) {
	var want state.Device
	serveNetwork(p, w, r, &want, func() bool { return want.Namespace != "" && want.Socket != "" },
		func() (*socket.Network, error) { return p.openDevice(r.Context(), want) })
}

// serveRelease ends what a command wanted.
func (p *process) serveRelease(w http.ResponseWriter, r *http.Request) {
	by := r.FormValue("by")
	if by == state.Standing {
		http.Error(w, "want the command's name", http.StatusBadRequest)
		return
	}
	if err := p.release(r.Context(), by); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

// serveNetwork reads what is wanted, has it made, and answers.
func serveNetwork(p *process, w http.ResponseWriter, r *http.Request, want any, complete func() bool, open func() (*socket.Network, error)) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(want); err != nil || !complete() {
		http.Error(w, "the request is not complete", http.StatusBadRequest)
		return
	}
	if !p.hold() {
		http.Error(w, socket.ErrEnding.Error(), http.StatusConflict)
		return
	}
	n, err := open()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(n) // the peer may be gone
}
