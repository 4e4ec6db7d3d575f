package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// Network is how programs on the laptop reach the cluster.
type Network struct {
	// Proxy is the address of the SOCKS5 and HTTP proxy; "" if there is none.
	// Namespace is that of names without one, to the proxy.
	Proxy     string `json:"proxy,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Device is the laptop's TUN, Alone are those of single programs.
	Device *device.Status  `json:"device,omitempty"`
	Alone  []device.Status `json:"alone,omitempty"`
	// Missing says why Device is not there although it was asked for.
	Missing string `json:"missing,omitempty"`
}

// network is what there is of a Network. Everything shares a way, which is
// there as long as anything is.
type network struct {
	mu      sync.Mutex // held while it changes
	look    sync.Mutex // guards what follows
	way     *way
	proxy   *proxy
	devices map[string]*attached // by socket
	main    string               // socket of the laptop's own device
	missing error                // why that is wanted and not there
	// interrupt ends the wait of who holds mu; yields: any command may.
	interrupt context.CancelCauseFunc
	yields    bool
}

// proxy is one that is open.
type proxy struct {
	state.Network
	stop context.CancelFunc
	done sync.WaitGroup
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
	stop := context.AfterFunc(running, func() { cancel(errEnding) })
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

var errLoopback = errors.New("the proxy listens on addresses of this machine alone, such as 127.0.0.1:1080")

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
	if w == nil || n.proxy != nil || len(n.devices) > 0 || n.missing != nil {
		n.look.Unlock()
		return
	}
	n.way = nil
	n.look.Unlock()
	w.close()
}

// openProxy begins outbound access by a proxy, or changes it. It returns when
// the first outbound carrier is up, or with the reason why there is none.
func (p *process) openProxy(ctx context.Context, want state.Network, yields bool) (*Network, error) {
	host, _, err := net.SplitHostPort(want.Proxy)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%q: %w", want.Proxy, errLoopback)
	}
	n := &p.network
	ctx, done, err := p.turn(ctx, yields)
	if err != nil {
		return nil, err
	}
	defer done()
	defer n.release()
	if x := n.proxy; x != nil {
		if x.Namespace == want.Namespace && (want.Proxy == x.Proxy || want.Proxy == net.JoinHostPort(host, "0")) {
			return n.status(), nil
		}
		n.closeProxy()
	}
	l, err := net.Listen("tcp", want.Proxy)
	if err != nil {
		return nil, fmt.Errorf("open the proxy: %w", err)
	}
	w, err := p.use(ctx)
	if err != nil {
		l.Close()
		return nil, err
	}
	want.Proxy = l.Addr().String()
	x := &proxy{Network: want}
	xctx, stop := context.WithCancel(w.ctx)
	x.stop = stop
	r := p.resolver(w, want.Namespace)
	server := &outbound.Proxy{Dialer: w.dialer, Resolver: r, Log: p.log, Inside: p.holds, Direct: (&net.Dialer{}).DialContext}
	x.done.Go(func() {
		defer r.Close()
		if err := server.Serve(xctx, l); err != nil {
			p.log.Error("proxy ends", "error", err)
		}
	})
	n.look.Lock()
	n.proxy = x
	n.look.Unlock()
	p.remember(func(s *state.State) { s.Network = &want })
	return n.status(), nil
}

// holds says whether an address is the cluster's, by what is known now.
func (p *process) holds(a netip.Addr) bool {
	n, _ := p.cluster.get()
	return n.holds(a)
}

func (p *process) resolver(w *way, namespace string) *outbound.Resolver {
	return &outbound.Resolver{Dialer: w.dialer, Domain: p.pool.State().Domain, Namespace: namespace}
}

// closeProxy ends it; n.mu is held.
func (n *network) closeProxy() {
	x := n.proxy
	if x == nil {
		return
	}
	x.stop()
	x.done.Wait()
	n.look.Lock()
	n.proxy = nil
	n.look.Unlock()
}

// hangUp ends everything.
func (n *network) hangUp() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closeProxy()
	n.miss(nil)
	var failed error
	for socket := range n.devices {
		failed = errors.Join(failed, n.closeDevice(socket))
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
	n.closeProxy()
	n.miss(nil)
	err := n.closeDevice(n.main)
	n.release()
	p.remember(func(s *state.State) { s.Network, s.Device = nil, nil })
	return err
}

// status is nil if there is nothing.
func (n *network) status() *Network {
	n.look.Lock()
	defer n.look.Unlock()
	if n.proxy == nil && len(n.devices) == 0 && n.missing == nil {
		return nil
	}
	s := &Network{}
	if n.missing != nil {
		s.Missing = helpless(n.missing)
	}
	if n.proxy != nil {
		s.Proxy, s.Namespace = n.proxy.Proxy, n.proxy.Namespace
	}
	for socket, d := range n.devices {
		ds := d.Status()
		if socket == n.main {
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
	proxy, dev := p.state.Network, p.state.Device
	p.mu.Unlock()
	if dev != nil {
		p.network.miss(errComing)
	}
	if proxy != nil {
		if _, err := p.openProxy(ctx, *proxy, true); err != nil && ctx.Err() == nil {
			p.log.Warn("the proxy is not back", "error", err)
		}
	}
	if dev != nil {
		p.regain(ctx)
	}
}

var errComing = errors.New("the session is only just connecting")

func (p *process) serveProxy(w http.ResponseWriter, r *http.Request) {
	var want state.Network
	serveNetwork(p, w, r, &want, func() bool { return want.Namespace != "" },
		func() (*Network, error) { return p.openProxy(r.Context(), want, false) })
}

func (p *process) serveDevice(w http.ResponseWriter, r *http.Request) {
	var want state.Device
	serveNetwork(p, w, r, &want, func() bool { return want.Namespace != "" && want.Socket != "" },
		func() (*Network, error) { return p.openDevice(r.Context(), want) })
}

// serveNetwork reads what is wanted, has it made, and answers.
func serveNetwork(p *process, w http.ResponseWriter, r *http.Request, want any, complete func() bool, open func() (*Network, error)) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(want); err != nil || !complete() {
		http.Error(w, "the request is not complete", http.StatusBadRequest)
		return
	}
	if !p.hold() {
		http.Error(w, errEnding.Error(), http.StatusConflict)
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
