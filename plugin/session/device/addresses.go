package device

import (
	"net/netip"
	"slices"
)

// real returns the address for which one that a program dialed stands, and whether
// there is one.
func (d *Device) real(a netip.Addr) (netip.Addr, bool) {
	l := d.now()
	if real, ok := l.addrs.Real(a); ok {
		return real, true
	}
	if l.plan.Contains(a) && !l.plan.Clashes(a) {
		return a, true // it lies in the virtual subnet, and was added after that was chosen
	}
	// A program whose whole network is the TUN means the laptop's network by an
	// address that is not the cluster's.
	return a, d.cfg.Direct != nil && len(l.plan.Clashing) == 0
}

// inCluster says whether a program that dialed an address means the cluster. What
// clashes is the cluster's by its virtual address only.
func (d *Device) inCluster(dialed, real netip.Addr) bool {
	l := d.now()
	if l.want.Names.Whole != nil && !l.want.directly(real) {
		return true
	}
	return l.plan.Contains(real) && (dialed.Unmap() != real || !l.plan.Clashes(real))
}

// directly says that the laptop itself reaches an address, although all others are reached
// from a pod.
func (w *Want) directly(a netip.Addr) bool {
	return slices.Contains(w.Servers, a) || slices.ContainsFunc(w.Never, func(p netip.Prefix) bool { return p.Contains(a) })
}

// translate returns the address by which programs reach a real one.
func (d *Device) translate(a netip.Addr) netip.Addr {
	l := d.now()
	if !l.plan.Clashes(a) {
		return a
	}
	return l.addrs.Virtual(a)
}

// restore is the inverse of translate. It returns what it does not know as it is.
func (d *Device) restore(a netip.Addr) netip.Addr {
	if real, ok := d.real(a); ok {
		return real
	}
	return a
}
