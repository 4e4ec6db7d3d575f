package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// Config is what a Device is made of.
type Config struct {
	// Socket is where the maker of the TUN listens.
	Socket string
	Want   Want
	Dialer *outbound.Dialer
	// DNS asks the cluster's name server.
	DNS nameserver.Exchanger
	// Direct dials what is not the cluster's, for a program whose whole network
	// is the TUN. It is nil if only the cluster's addresses are routed into the TUN.
	Direct func(ctx context.Context, network, addr string) (net.Conn, error)
	Log    *slog.Logger
	// Undo is how long the maker of the TUN may take to undo it; zero is the default of
	// handover.Client.
	Undo time.Duration
}

// Want is what the TUN is for.
type Want struct {
	// Names decides which names are the cluster's. The Device adds the networks
	// and the translation of addresses. With Names.Whole, all addresses are reached by the
	// Dialer, but Never and Servers.
	Names names.Config
	// Networks are the cluster's. Also are added to them, Never left out.
	Networks, Also, Never []netip.Prefix
	// Allowed are networks of the laptop that may be routed into the cluster.
	Allowed []netip.Prefix
	// Virtual is where virtual addresses come from; the zero Prefix: where nothing
	// else is.
	Virtual netip.Prefix
	// Servers are addresses that the session itself needs: the API server's, and
	// that of a proxy in front of it.
	Servers []netip.Addr
}

// Device is a TUN that is up. Its methods may be called from any goroutine.
type Device struct {
	cfg    Config
	client *handover.Client
	stack  *stack.Stack
	names  *nameserver.Server
	pinger *outbound.Pinger
	dns    dnsListeners

	change     sync.Mutex // one change at a time
	externalMu sync.Mutex // one routeExternal at a time

	mu             sync.RWMutex // guards what follows
	layout         layout
	externalWanted bool // virtual addresses of external ones are to be routed
	externalRouted bool // they are
}

// Open has the TUN made and serves it until Close. The error is a
// *handover.RefusedError if the cluster's networks clash with the laptop's in a way
// that virtual addresses do not solve.
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
	h := &handler{dialer: d.cfg.Dialer, pinger: d.pinger, real: d.real, inCluster: d.inCluster, direct: d.cfg.Direct, log: d.cfg.Log,
		external: d.external, dialExternal: (&net.Dialer{}).DialContext}
	if d.stack, err = stack.New(stack.Config{File: tun.File, Device: tun.Device, Offload: d.now().network.Offload, MTU: mtu, Handler: h, Log: d.cfg.Log}); err != nil {
		tun.Close()
		return fmt.Errorf("serve the TUN: %w", err)
	}
	d.names = nameserver.New(d.nameConfig(), d.cfg.Log)
	if err := d.serveDNS(); err != nil {
		return errors.Join(err, d.stack.Close())
	}
	return nil
}

// now is the layout at present.
func (d *Device) now() layout {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.layout
}

// Wants says whether a Want is in place already.
func (d *Device) Wants(w Want) bool {
	l := d.now()
	return reflect.DeepEqual(w, l.want) && d.dns.at() == l.dns()
}

// Update changes what the TUN is for.
func (d *Device) Update(ctx context.Context, want Want) error {
	d.change.Lock()
	defer d.change.Unlock()
	err := d.replan(want, func(c handover.Config) (*handover.Network, error) { return d.client.Update(ctx, c) })
	if err != nil {
		return err
	}
	d.names.Set(d.nameConfig())
	return d.serveDNS()
}

// Done is closed when the maker of the TUN is gone, and the TUN with it.
func (d *Device) Done() <-chan struct{} { return d.client.Done() }

// Close gives the TUN back. Connections through it are reset.
func (d *Device) Close() error {
	d.dns.stop()
	d.pinger.Close()
	err := d.stack.Close()
	d.dns.wait()
	return errors.Join(err, d.client.Close())
}
