package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Constants of linux/netfilter/nfnetlink_conntrack.h, which x/sys does not have.
const (
	ctGet    = 1
	ctDelete = 2
)

// Forget deletes the conntrack entries of port p. The kernel applies NAT rules only to
// the first packet of a connection. So UDP datagrams between the same two addresses
// would still go to the old destination after the redirect has been set or removed.
//
// For TCP, Forget deletes only entries with the wrong direction: conntrack saw a packet
// of the application first, and took the pod for the client.
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

// localAddrs returns the addresses of the pod, including loopback.
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
