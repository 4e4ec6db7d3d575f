package device

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// routeTimeout bounds routing the virtual addresses of external ones into the TUN.
const routeTimeout = 5 * time.Second

// externalAddr returns the virtual address of an external one: the cluster gave it for
// a name, and it is not the cluster's. It is something outside behind a headless
// Service, a pod on its node's network, or the target of an ExternalName. The laptop
// may have no route to it; by a virtual address a program's connection comes to the
// TUN, and Dialer.OpenExternal opens it. An address that is never proxied, or that
// means this machine or its link, is returned as it is.
func (d *Device) externalAddr(a netip.Addr) netip.Addr {
	d.mu.RLock()
	l, routed := d.layout, d.externalRouted
	d.mu.RUnlock()
	own := l.plan.Contains(a) || slices.ContainsFunc(l.want.Never, func(p netip.Prefix) bool { return p.Contains(a) })
	if own || !a.Is4() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return a
	}
	if !routed && !d.routeExternal() {
		return a
	}
	if v := l.addrs.External(a); v.IsValid() {
		return v
	}
	return a
}

// routeExternal routes the virtual addresses of external ones into the TUN from now
// on, and says whether it could. Most clusters never need it.
func (d *Device) routeExternal() bool {
	d.externalMu.Lock()
	defer d.externalMu.Unlock()
	// A change that is under way may wait for the name server, which waits for
	// this function. Then a later answer of the name server routes them.
	if !d.change.TryLock() {
		return false
	}
	defer d.change.Unlock()
	d.mu.Lock()
	done, want := d.externalRouted, d.layout.want
	d.externalWanted = true
	d.mu.Unlock()
	if done {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), routeTimeout)
	defer cancel()
	err := d.replan(want, func(c handover.Config) (*handover.Network, error) { return d.client.Update(ctx, c) })
	if err != nil {
		d.cfg.Log.Warn("addresses outside of the cluster's networks are not reached through it", "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.externalWanted, d.externalRouted = err == nil, err == nil
	return d.externalRouted
}

// external says that a program dialed the virtual address of an external one.
func (d *Device) external(dialed, real netip.Addr) bool {
	l := d.now()
	return l.virtual.Contains(dialed.Unmap()) && dialed.Unmap() != real && !l.plan.Contains(real)
}
