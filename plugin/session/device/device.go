package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/subnet"
)

const (
	mtu     = 1500
	dnsPort = 53
	// replans is how often a refused plan is made again without what was
	// refused.
	replans = 16
)

// Config is what a Device is made of.
type Config struct {
	// Socket is where who makes the TUN listens.
	Socket string
	Want   Want
	Dialer *outbound.Dialer
	// Names asks the cluster's name server.
	Names nameserver.Exchanger
	// Direct dials what is not the cluster's, for a program whose whole network
	// is the TUN. Nil: nothing else comes this way.
	Direct func(ctx context.Context, network, addr string) (net.Conn, error)
	Log    *slog.Logger
	// Undo is how long the maker of the TUN may take to undo it; zero is the default of
	// handover.Client.
	Undo time.Duration
}

// Want is what shall lie behind the TUN.
type Want struct {
	// Namespace is that of names without one.
	Namespace string
	// Namespaces are those whose Services have names of two labels.
	Namespaces []string
	// Domain is the cluster's.
	Domain string
	// Networks are the cluster's; Also and Never are added and left out.
	Networks, Also, Never []netip.Prefix
	// Allowed are networks of the laptop that may be taken from it.
	Allowed []netip.Prefix
	// Virtual is where virtual addresses come from; the zero Prefix: where
	// there is room.
	Virtual netip.Prefix
	// Spare are addresses that the session itself needs.
	Spare []netip.Addr
	// Intercepted, Include, Exclude, Outside and Mappings are as in
	// nameserver.Config.
	Intercepted, Include, Exclude, Outside []string
	Mappings                               map[string]string
}

// room is where virtual subnets are looked for: networks for measurements
// (RFC 2544), then parts of the one for carriers' NAT (RFC 6598), which nobody
// routes.
var room = []netip.Prefix{
	netip.MustParsePrefix("198.18.0.0/16"),
	netip.MustParsePrefix("198.19.0.0/16"),
	netip.MustParsePrefix("100.126.0.0/16"),
	netip.MustParsePrefix("100.91.0.0/16"),
}

// six is where the TUN's IPv6 address comes from (RFC 4193).
var six = netip.MustParsePrefix("fd6b:6963:7470:1::1/64")

// Device is a TUN that is up. Its methods may be called from any goroutine.
type Device struct {
	cfg    Config
	client *handover.Client
	stack  *stack.Stack
	names  *nameserver.Server
	pinger *outbound.Pinger

	change sync.Mutex // one plan at a time
	lead   sync.Mutex // one routeAround at a time

	serving sync.Mutex // guards what follows
	stop    context.CancelFunc
	done    sync.WaitGroup
	closed  bool

	mu      sync.RWMutex
	dns     netip.Addr // where programs are told to ask
	served  netip.Addr // where they are answered
	want    Want
	taken   []netip.Prefix // what was refused so far
	plan    *subnet.Plan
	virtual netip.Prefix
	around  bool // addresses outside are to have virtual ones
	led     bool // those lead into the TUN
	addrs   *subnet.Translator
	network handover.Network
}

// Open makes the TUN and serves it until Close. The error is a
// *handover.RefusedError if there is no way around what the laptop uses itself.
func Open(ctx context.Context, cfg Config) (*Device, error) {
	client, err := handover.Dial(ctx, cfg.Socket)
	if err != nil {
		return nil, err
	}
	if cfg.Undo > 0 {
		client.Undo = cfg.Undo
	}
	d := &Device{cfg: cfg, client: client}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return d, nil
}

func (d *Device) open(ctx context.Context) error {
	var tun *handover.TUN
	err := d.replan(d.cfg.Want, func(c handover.Config) (n *handover.Network, err error) {
		n, tun, err = d.client.Open(ctx, c)
		return n, err
	})
	if err != nil {
		return err
	}
	d.pinger = &outbound.Pinger{Dialer: d.cfg.Dialer}
	h := &handler{dialer: d.cfg.Dialer, pinger: d.pinger, real: d.real, inside: d.inside, direct: d.cfg.Direct, log: d.cfg.Log,
		outside: d.outside, around: (&net.Dialer{}).DialContext}
	if d.stack, err = stack.New(stack.Config{File: tun.File, Device: tun.Device, Offload: d.network.Offload, MTU: mtu, Handler: h, Log: d.cfg.Log}); err != nil {
		tun.Close()
		return fmt.Errorf("serve the TUN: %w", err)
	}
	d.names = nameserver.New(d.nameConfig(), d.cfg.Log)
	if err := d.serveNames(); err != nil {
		return errors.Join(err, d.stack.Close())
	}
	return nil
}

// serveNames answers DNS on the TUN where programs ask, and not any more where
// they did.
func (d *Device) serveNames() error {
	d.serving.Lock()
	defer d.serving.Unlock()
	d.mu.RLock()
	want, is := d.dns, d.served
	d.mu.RUnlock()
	switch {
	case d.closed:
		return fmt.Errorf("serve DNS: %w", net.ErrClosed)
	case want == is:
		return nil
	}
	at := netip.AddrPortFrom(want, dnsPort)
	packets, err := d.stack.ListenPacket(at)
	if err != nil {
		return fmt.Errorf("serve DNS: %w", err)
	}
	streams, err := d.stack.Listen(at)
	if err != nil {
		packets.Close()
		return fmt.Errorf("serve DNS: %w", err)
	}
	if d.stop != nil {
		d.stop()
		d.done.Wait()
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.done.Go(func() {
		if err := d.names.Serve(ctx, packets, streams); err != nil && ctx.Err() == nil {
			d.cfg.Log.Error("name server ends", "error", err)
		}
	})
	d.mu.Lock()
	d.served = want
	d.mu.Unlock()
	return nil
}

func (d *Device) nameConfig() nameserver.Config {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c := d.namesFor(&d.want)
	if len(d.plan.Clashing) > 0 { // else what was learnt stays right
		c.Translate, c.Restore = d.translate, d.restore
	}
	return c
}

func (d *Device) namesFor(w *Want) nameserver.Config {
	return nameserver.Config{Cluster: d.cfg.Names, Upstream: d.network.Resolvers, Domain: w.Domain, Namespace: w.Namespace,
		Intercepted: w.Intercepted, Namespaces: w.Namespaces, Include: w.Include, Exclude: w.Exclude, Outside: w.Outside, Mappings: w.Mappings,
		CIDRs: w.Networks, Around: d.leadAround}
}

// Wants says whether a Want is what there is already.
func (d *Device) Wants(w Want) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return reflect.DeepEqual(w, d.want) && d.served == d.dns
}

// Update changes what lies behind the TUN.
func (d *Device) Update(ctx context.Context, want Want) error {
	d.change.Lock()
	defer d.change.Unlock()
	err := d.replan(want, func(c handover.Config) (*handover.Network, error) { return d.client.Update(ctx, c) })
	if err != nil {
		return err
	}
	d.names.Set(d.nameConfig())
	return d.serveNames()
}

// replan makes a plan that is not refused.
func (d *Device) replan(want Want, ask func(handover.Config) (*handover.Network, error)) error {
	d.mu.RLock()
	taken, virtual, around := slices.Clone(d.taken), d.virtual, d.around
	d.mu.RUnlock()
	rooms := free(&want)
	switch {
	case want.Virtual.IsValid():
		rooms = []netip.Prefix{want.Virtual.Masked()}
	case virtual.IsValid():
		rooms = []netip.Prefix{virtual} // programs know its addresses
	}
	for range replans {
		plan, err := subnet.Make(subnet.Wanted{Cluster: want.Networks, Also: want.Also, Never: want.Never, Spare: want.Spare,
			Taken: taken, Allowed: want.Allowed, Virtual: rooms[0], Around: around})
		if err != nil {
			return err
		}
		n, err := ask(d.config(&want, plan, rooms[0]))
		var refused *handover.RefusedError
		if errors.As(err, &refused) {
			more, full := avoid(refused, rooms[0])
			if full && len(rooms) == 1 || !full && len(more) == 0 {
				return err
			}
			if full {
				rooms = rooms[1:]
			}
			taken = append(taken, more...)
			continue
		}
		if err != nil {
			return err
		}
		d.adopt(want, plan, taken, rooms[0], n)
		return nil
	}
	return errors.New("this machine's routes clash with the cluster's in too many places; name a --virtual-subnet or --never-proxy")
}

// free are the rooms in which nothing lies that shall be reached by its own
// address; all, if there is none.
func free(w *Want) []netip.Prefix {
	used := slices.Concat(w.Networks, w.Also, w.Never)
	for _, a := range w.Spare {
		used = append(used, netip.PrefixFrom(a, a.BitLen()))
	}
	rooms := slices.DeleteFunc(slices.Clone(room), func(r netip.Prefix) bool { return slices.ContainsFunc(used, r.Overlaps) })
	if len(rooms) == 0 {
		return room
	}
	return rooms
}

// avoid is what a refusal says is taken, and whether the virtual subnet is
// among it.
func avoid(refused *handover.RefusedError, virtual netip.Prefix) (taken []netip.Prefix, full bool) {
	for _, c := range refused.Conflicts {
		if c.Route.Overlaps(virtual) {
			full = true
			continue
		}
		taken = append(taken, c.With)
	}
	return taken, full
}

func (d *Device) adopt(want Want, plan *subnet.Plan, taken []netip.Prefix, virtual netip.Prefix, n *handover.Network) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addrs == nil || d.virtual != virtual {
		d.addrs = subnet.NewTranslator(virtual)
	}
	d.want, d.plan, d.taken, d.virtual, d.network = want, plan, taken, virtual, *n
	d.dns = dnsAddress(virtual)
}

func dnsAddress(virtual netip.Prefix) netip.Addr { return virtual.Addr().Next().Next() }

// config is what is asked of netd.
func (d *Device) config(w *Want, plan *subnet.Plan, virtual netip.Prefix) handover.Config {
	own := netip.PrefixFrom(virtual.Addr().Next(), max(virtual.Bits(), virtual.Addr().BitLen()-4))
	c := handover.Config{MTU: mtu, Addresses: []netip.Prefix{own}, Routes: plan.Routes, Spare: w.Spare, AllowConflicting: w.Allowed,
		DNS: handover.DNS{Server: dnsAddress(virtual), Search: d.namesFor(w).Search(), Domains: domains(w.Namespace, d.namesFor(w).Domains()), Ndots: nameserver.Ndots}}
	if slices.ContainsFunc(plan.Routes, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		c.Addresses = append(c.Addresses, six)
	}
	return c
}

// mostDomains is how many a resolver is told.
const mostDomains = 200

// domains are as many as there is room for, those of the namespace first.
func domains(namespace string, all []string) []string {
	if len(all) <= mostDomains {
		return all
	}
	return append([]string{namespace}, all[:mostDomains-1]...)
}

// real is the address behind one that a program dialled. In the virtual subnet
// there may be real ones, too, since somebody added them.
func (d *Device) real(a netip.Addr) (netip.Addr, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if real, ok := d.addrs.Real(a); ok {
		return real, true
	}
	if d.plan.Contains(a) && !d.plan.Clashes(a) {
		return a, true // it was added while the virtual subnet was there already
	}
	// To a program whose whole network this is, an address where nothing of the
	// cluster appears is the laptop's.
	return a, d.cfg.Direct != nil && len(d.plan.Clashing) == 0
}

// inside says whether the cluster is meant by an address behind which there is
// a real one. What clashes is the cluster's by its virtual address alone.
func (d *Device) inside(dialled, real netip.Addr) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.plan.Contains(real) && (dialled.Unmap() != real || !d.plan.Clashes(real))
}

// translate is the address by which programs reach a real one.
func (d *Device) translate(a netip.Addr) netip.Addr {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.plan.Clashes(a) {
		return a
	}
	return d.addrs.Virtual(a)
}

// restore is the real address behind one that programs use, or the same.
func (d *Device) restore(a netip.Addr) netip.Addr {
	if real, ok := d.real(a); ok {
		return real
	}
	return a
}

// Done is closed when who made the TUN is gone, and the TUN with it.
func (d *Device) Done() <-chan struct{} { return d.client.Done() }

// Close gives the TUN back. Connections through it are reset.
func (d *Device) Close() error {
	d.serving.Lock()
	defer d.serving.Unlock()
	d.closed = true
	d.stop()
	d.pinger.Close()
	err := d.stack.Close()
	d.done.Wait()
	return errors.Join(err, d.client.Close())
}
