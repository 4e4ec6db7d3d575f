package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Of linux/netfilter/nfnetlink_conntrack.h; x/sys has none of them.
const (
	ctGet    = 1
	ctDelete = 2
)

// Forget makes the kernel forget what it knows of connections of p, because NAT is
// decided once per connection: a UDP "connection" that was tracked before the
// redirect was set, or before it was removed, would go where it went for as long as
// datagrams flow.
//
// For TCP it forgets only connections of which conntrack saw the application's side
// first, and which it therefore takes to be opened by the pod.
func (t *Table) Forget(p Port) error {
	local, err := localAddrs()
	if err != nil {
		return err
	}
	stale := func(e entry) bool {
		if e.orig.protocol != p.Protocol {
			return false
		}
		reversed := e.orig.src.Port() == p.Number && local[e.orig.src.Addr()] && !e.redirected()
		if p.Protocol == TCP {
			return reversed
		}
		return reversed || e.orig.dst.Port() == p.Number && local[e.orig.dst.Addr()]
	}
	var failed error
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		failed = errors.Join(failed, t.forget(family, stale))
	}
	if failed != nil {
		return fmt.Errorf("forget tracked connections of %s: %w", p, failed)
	}
	return nil
}

func (t *Table) forget(family uint8, stale func(entry) bool) error {
	var found []entry
	get := message{kind: unix.NFNL_SUBSYS_CTNETLINK<<8 | ctGet, family: family}
	err := t.conn.dump(get, func(body []byte) error {
		e, err := decodeEntry(body)
		if err == nil && stale(e) {
			found = append(found, e)
		}
		return err
	})
	for _, e := range found {
		del := message{kind: unix.NFNL_SUBSYS_CTNETLINK<<8 | ctDelete, family: family, attrs: e.key}
		if derr := t.conn.do(del); derr != nil && !errors.Is(derr, unix.ENOENT) {
			err = errors.Join(err, derr)
		}
	}
	return err
}

// localAddrs are the addresses of the pod, loopback among them.
func localAddrs() (map[netip.Addr]bool, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	local := map[netip.Addr]bool{}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local[p.Addr()] = true
		}
	}
	return local, nil
}
