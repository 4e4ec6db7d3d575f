package capture

import (
	"bytes"
	"fmt"
	"os"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ownName is the name of the table that exempts the agent's own connections from the
// redirects of a service mesh. That of an agent beside a container has the container's name
// behind it, since there may be several in the pod.
const ownName = "kubectl-intercept-own"

// beforeMesh is a chain priority. Chains with it run before those with -100, which is
// the usual priority of redirects.
const beforeMesh = -150

// Exempt prevents other programs, such as a service mesh, from redirecting connections
// of the group gid to destinations outside of the pod. It does nothing if no program
// redirects, so that the kernel need not track connections. The kernel removes the
// table of this rule when t is closed.
//
// The verdict accept would not prevent a later chain from applying NAT to a connection.
// But NAT is applied only once, so the rule applies NAT to the address that the
// connection has already.
func (t *Table) Exempt(gid uint32) (needed bool, err error) {
	return t.exempt(ownName, rule{}.add(&expr.Meta{Key: expr.MetaKeySKGID, Register: register}).equal(native(gid)))
}

// ExemptPort is Exempt for connections of anybody in the pod to a TCP port, on behalf of the
// agent beside a container.
func (t *Table) ExemptPort(container string, port uint16) (needed bool, err error) {
	return t.exempt(ownName+"-"+container, rule{}.protocol(TCP).dport(port))
}

// exempt makes the table name, for what a rule matches.
func (t *Table) exempt(name string, of rule) (needed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if needed, err = t.redirectedByOthers(); !needed || err != nil {
		return needed, err
	}
	b := &builder{}
	b.add(newTable(name, tableOwner))
	b.add(newChain(name, chain{"output", "nat", unix.NF_INET_LOCAL_OUT, beforeMesh}))
	for _, r := range exemptions(of) {
		b.add(newRule(name, r))
	}
	if b.err != nil {
		return needed, b.err
	}
	if err := t.conn.batch(b.messages); err != nil {
		return needed, fmt.Errorf("exempt the agent's connections from others' redirects: %w", err)
	}
	return needed, nil
}

// exemptions returns one rule for IPv4 and one for IPv6, with the offset and the size of
// the destination address in the IP header. The rules do not match connections within
// the pod.
func exemptions(of rule) []rule {
	keep := func(family byte, offset, size uint32) rule {
		r := rule{chain: "output", comment: "the agent's own connections stay as they are"}
		return r.add(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}).equal([]byte{family}).
			add(of.exprs...).
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

// redirectedByOthers reports whether another program has NAT rules that may apply to
// connections that the pod opens.
func (t *Table) redirectedByOthers() (bool, error) {
	for _, path := range []string{"/proc/self/net/ip_tables_names", "/proc/self/net/ip6_tables_names"} {
		names, _ := os.ReadFile(path) // the file is missing if no program uses legacy iptables
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
