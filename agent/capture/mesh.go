package capture

import (
	"bytes"
	"fmt"
	"os"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ownName is the table that keeps the agent's own connections out of a mesh.
const ownName = "kubectl-intercept-own"

// beforeMesh is a priority before the usual one of redirects, -100.
const beforeMesh = -150

// Exempt keeps connections of group gid to outside of the pod from being redirected
// by other programs, such as a mesh. It does nothing where no program redirects:
// the kernel need not track connections there. The table is owned like the other
// one, and ends with t.
//
// A verdict of accept does not keep later chains from translating a connection. A
// translation does, and the rule translates to the address that the connection has
// already.
func (t *Table) Exempt(gid uint32) (needed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if needed, err = t.redirectedByOthers(); !needed || err != nil {
		return needed, err
	}
	b := &builder{}
	b.add(newTable(ownName, tableOwner))
	b.add(newChain(ownName, chain{"output", "nat", unix.NF_INET_LOCAL_OUT, beforeMesh}))
	for _, r := range exemptions(gid) {
		b.add(newRule(ownName, r))
	}
	if b.err != nil {
		return needed, b.err
	}
	if err := t.conn.batch(b.messages); err != nil {
		return needed, fmt.Errorf("exempt the agent's connections from others' redirects: %w", err)
	}
	return needed, nil
}

// exemptions are a rule for IPv4 and one for IPv6, whose destinations are at these
// offsets of the header. They leave out connections within the pod.
func exemptions(gid uint32) []rule {
	keep := func(family byte, offset, size uint32) rule {
		r := rule{chain: "output", comment: "the agent's own connections stay as they are"}
		return r.add(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}).equal([]byte{family}).
			add(&expr.Meta{Key: expr.MetaKeySKGID, Register: register}).equal(native(gid)).
			notOut("lo").
			add(&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
				&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(family), RegAddrMin: register})
	}
	return []rule{keep(unix.NFPROTO_IPV4, 16, 4), keep(unix.NFPROTO_IPV6, 24, 16)}
}

func (r rule) notOut(device string) rule {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return r.add(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: register}).unequal(name)
}

// redirectedByOthers says that another program has rules that may translate the
// pod's own connections.
func (t *Table) redirectedByOthers() (bool, error) {
	for _, path := range []string{"/proc/self/net/ip_tables_names", "/proc/self/net/ip6_tables_names"} {
		names, _ := os.ReadFile(path) // not there: no program uses the old iptables
		if bytes.Contains(names, []byte("nat\n")) {
			return true, nil
		}
	}
	m, err := request(unix.NFT_MSG_GETCHAIN, 0, func(*netlink.AttributeEncoder) error { return nil })
	if err != nil {
		return false, err
	}
	m.family = unix.NFPROTO_UNSPEC
	found := false
	err = t.conn.dump(m, func(body []byte) error {
		c, table, err := decodeChain(body)
		if err == nil && table != tableName && c.kind == "nat" && c.hook == unix.NF_INET_LOCAL_OUT {
			found = true
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for others' redirects: %w", err)
	}
	return found, nil
}
