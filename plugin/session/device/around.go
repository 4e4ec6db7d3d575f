package device

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// leadTime bounds making virtual addresses lead into the TUN.
const leadTime = 5 * time.Second

// leadAround is the virtual address of one that the cluster gave for a name and
// that is not the cluster's: something outside behind a headless Service, a pod
// on its node's network, the target of an ExternalName. Programs would dial it
// from the laptop, where it may be out of reach; by the virtual address they
// come here, see handler.around. What shall never be proxied, and what means
// something on this machine alone, stays as it is.
func (d *Device) leadAround(a netip.Addr) netip.Addr {
	d.mu.RLock()
	own := d.plan.Contains(a) || slices.ContainsFunc(d.want.Never, func(p netip.Prefix) bool { return p.Contains(a) })
	routed, near := d.led, d.addrs.Near
	d.mu.RUnlock()
	if own || !a.Is4() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return a
	}
	if !routed && !d.routeAround() {
		return a
	}
	if v := near(a); v.IsValid() {
		return v
	}
	return a
}

// routeAround has virtual addresses of what is outside lead into the TUN from now
// on: most clusters do without.
func (d *Device) routeAround() bool {
	d.lead.Lock()
	defer d.lead.Unlock()
	// A change that is under way may wait for the name server, which waits for
	// this answer; a later answer brings it about.
	if !d.change.TryLock() {
		return false
	}
	defer d.change.Unlock()
	d.mu.Lock()
	done, want := d.led, d.want
	d.around = true
	d.mu.Unlock()
	if done {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), leadTime)
	defer cancel()
	err := d.replan(want, func(c handover.Config) (*handover.Network, error) { return d.client.Update(ctx, c) })
	if err != nil {
		d.cfg.Log.Warn("addresses outside of the cluster's networks are not reached through it", "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.around, d.led = err == nil, err == nil
	return d.led
}

// outside says that a program dialled an address of leadAround's.
func (d *Device) outside(dialled, real netip.Addr) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.virtual.Contains(dialled.Unmap()) && dialled.Unmap() != real && !d.plan.Contains(real)
}
