package device

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/names"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/nameserver"
)

const dnsPort = 53

// serveDNS serves DNS at the address that the layout says.
func (d *Device) serveDNS() error { return d.dns.serve(d.stack, d.names, d.now().dns(), d.cfg.Log) }

// nameConfig is what the name server knows.
func (d *Device) nameConfig() nameserver.Config {
	l := d.now()
	c := nameserver.Config{Names: l.want.names(), Cluster: d.cfg.DNS, Upstream: l.network.Resolvers, External: d.externalAddr}
	if c.Names.Whole != nil {
		c.External = nil // all that there is lies behind the TUN
	}
	if len(l.plan.Clashing) > 0 { // else there is no translation, and the name server keeps its cache
		c.Names.Translate, c.Names.Restore = d.translate, d.restore
	}
	return c
}

// names decides about names, also those of addresses.
func (w *Want) names() names.Config {
	c := w.Names
	c.CIDRs = w.Networks
	return c
}

// dnsListeners is where DNS is served on the TUN.
type dnsListeners struct {
	mu     sync.Mutex
	addr   netip.Addr // not valid before serve
	cancel context.CancelFunc
	done   sync.WaitGroup
	closed bool
}

// at is the address at which DNS is served.
func (l *dnsListeners) at() netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// serve begins to serve at an address, and ends at the former one.
func (l *dnsListeners) serve(on *stack.Stack, server *nameserver.Server, addr netip.Addr, log *slog.Logger) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return fmt.Errorf("serve DNS: %w", net.ErrClosed)
	case l.addr == addr:
		return nil
	}
	port := netip.AddrPortFrom(addr, dnsPort)
	packets, err := on.ListenPacket(port)
	if err != nil {
		return fmt.Errorf("serve DNS: %w", err)
	}
	streams, err := on.Listen(port)
	if err != nil {
		packets.Close()
		return fmt.Errorf("serve DNS: %w", err)
	}
	if l.cancel != nil {
		l.cancel()
		l.done.Wait()
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.addr, l.cancel = addr, cancel
	l.done.Go(func() {
		if err := server.Serve(ctx, packets, streams); err != nil && ctx.Err() == nil {
			log.Error("name server ends", "error", err)
		}
	})
	return nil
}

// stop ends serving for good. The caller must call wait after it.
func (l *dnsListeners) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.cancel()
}

// wait returns when serving has ended.
func (l *dnsListeners) wait() { l.done.Wait() }
