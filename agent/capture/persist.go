package capture

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// persistentName is the name of the table that an init container makes for a sidecar.
// The table has no owner and exists as long as the pod. An ephemeral agent in the same
// pod has another table.
const persistentName = "kubectl-intercept-sidecar"

// The values of SO_PRIORITY by which the rules distinguish packets of a sidecar. A
// process without capabilities can set SO_PRIORITY, but no mark.
const (
	// proofPriority is the priority of test connections. The agent's connections to
	// the application have the default priority.
	proofPriority = 6
	// strictPriority is the priority of a knock that also resets connections that were
	// open before the redirect, but not those of the node. strictestPriority resets them,
	// too.
	strictPriority    = 5
	strictestPriority = 4
)

// The sets of the table. The active set has the agent's ports whose redirects are in
// force. The strict set has those of them for which connections that were open before the
// redirect are reset, and the strictest set those for which this includes connections of
// the node. A knock adds a port to the sets. The port times out when the agent stops
// knocking.
const (
	activeSet    = "active"
	strictSet    = "strict"
	strictestSet = "strictest"
	// knockLife leaves some of the two seconds within which the application answers when the
	// agent is gone. knockEvery is short enough for the redirect to stay in force if some
	// knocks are late.
	knockLife  = 1800 * time.Millisecond
	knockEvery = 250 * time.Millisecond
)

// markOwn is the conntrack mark of a sidecar's connections to the application.
const markOwn = 0x6b692d6f

// Install writes rules that redirect ports to an agent without privileges, which runs
// as the user uid. The rules exist as long as the pod. TCP ports are redirected only
// while the agent calls Knock. UDP ports are always redirected, because UDP has no
// connections that could be moved later.
func Install(ports []Port, uid uint32) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.close()
	b := &builder{}
	// An init container may run again, so the table may exist. The first message makes
	// sure that it does, because deleting a missing table is an error.
	b.add(newTable(persistentName, 0))
	b.add(delTable(persistentName))
	b.add(newTable(persistentName, 0))
	b.add(newPortSet(persistentName, activeSet, 1))
	b.add(newPortSet(persistentName, strictSet, 2))
	b.add(newPortSet(persistentName, strictestSet, 3))
	for _, c := range baseChains() {
		b.add(newChain(persistentName, c))
	}
	for _, p := range ports {
		for _, r := range persistentRules(p, uid) {
			b.add(newRule(persistentName, r))
		}
	}
	if b.err != nil {
		return b.err
	}
	if err := c.batch(b.messages); err != nil {
		return explain(err, false)
	}
	return nil
}

// persistentRules returns the rules of one port. They redirect test connections of the
// agent, but not its connections to the application.
func persistentRules(p Port, uid uint32) []rule {
	on := func(chain, why string) rule {
		return rule{chain: chain, comment: p.String() + ": " + why}.protocol(p.Protocol)
	}
	while := func(r rule) rule { return r.contains(activeSet, p.Agent) }
	direct := on("input", "only through the redirect").dport(p.Agent).ctNotRedirected()
	if p.Protocol == UDP {
		while = func(r rule) rule { return r }
		direct = direct.drop()
	} else {
		direct = direct.reset()
	}
	rules := []rule{
		while(on("wire", "redirect").notIn("lo").dport(p.Number)).redirect(p.Agent),
		while(on("loopback", "redirect, the agent's test").out("lo").dport(p.Number).user(uid).priority(proofPriority)).redirect(p.Agent),
		while(on("loopback", "redirect").out("lo").dport(p.Number).notUser(uid)).redirect(p.Agent),
		direct,
	}
	if p.Protocol == UDP {
		return rules
	}
	knock := func(why string) rule {
		return rule{chain: "output", comment: p.String() + ": " + why}.protocol(UDP).out("lo").user(uid)
	}
	rules = append(rules,
		knock("a knock that ends what was open, but for the node").priority(strictPriority).dport(p.Agent).enter(strictSet),
		knock("a knock that ends what was open").priority(strictestPriority).dport(p.Agent).enter(strictSet).enter(strictestSet),
		knock("a knock").dport(p.Agent).enter(activeSet).drop(),
		on("output", "the agent's own connection").out("lo").user(uid).dport(p.Number).ctSetMark(markOwn),
		on("input", "the agent's own connection").dport(p.Number).ctMark(markOwn).accept(),
		on("input", "answer to an own connection").dport(p.Number).ctReply().accept(),
	)
	for _, node := range p.Nodes {
		rules = append(rules, on("input", "a probe of the kubelet's may be under way").dport(p.Number).
			source(node).without(strictestSet, p.Agent).accept())
	}
	return append(rules,
		on("input", "open before the intercept").dport(p.Number).tcpFlags(flagRST, 0).contains(strictSet, p.Agent).reset())
}

// Knock keeps the redirect of a TCP port to the port agent in force until ctx ends, and up
// to two seconds longer. Install must have written the rules of the port. Knock also resets
// connections that were open before the redirect, as p says. The node's addresses are those
// that were given to Install.
func Knock(ctx context.Context, agent uint16, p Port) error {
	if p.KeepEstablished {
		return knock(ctx, agent, 0)
	}
	if time.Now().Before(p.ResetNodes) {
		early, cancel := context.WithDeadline(ctx, p.ResetNodes)
		defer cancel()
		if err := knock(early, agent, strictPriority); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return knock(ctx, agent, strictestPriority)
}

func knock(ctx context.Context, agent uint16, priority int) error {
	d := net.Dialer{Control: prioritized(priority)}
	c, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), agent).String())
	if err != nil {
		return fmt.Errorf("knock: %w", err)
	}
	defer c.Close()
	tick := time.NewTicker(knockEvery)
	defer tick.Stop()
	for {
		c.Write([]byte{0}) // ignore the error: the rule that sees the datagram drops it
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// CheckRedirectUnprivileged does the same as CheckRedirect for a redirect of Install. The
// process must run as the user that was given to Install.
func CheckRedirectUnprivileged(ctx context.Context, p Port, addrs []netip.Addr, book *ProofBook) error {
	return checkRedirect(ctx, p, addrs, book, prioritized(proofPriority))
}

func prioritized(priority int) control {
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, priority)
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return fmt.Errorf("set priority of socket: %w", err)
		}
		return nil
	}
}

// newPortSet makes a set of ports whose elements time out.
func newPortSet(table, name string, id uint32) (message, error) {
	const inetService = 13 // nft's number for the type of a port
	return request(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, func(e *netlink.AttributeEncoder) error {
		e.String(unix.NFTA_SET_TABLE, table)
		e.String(unix.NFTA_SET_NAME, name)
		e.Uint32(unix.NFTA_SET_FLAGS, unix.NFT_SET_TIMEOUT|unix.NFT_SET_EVAL)
		e.Uint32(unix.NFTA_SET_KEY_TYPE, inetService)
		e.Uint32(unix.NFTA_SET_KEY_LEN, 2)
		e.Uint32(unix.NFTA_SET_ID, id)
		e.Uint64(unix.NFTA_SET_TIMEOUT, uint64(knockLife.Milliseconds()))
		e.Nested(unix.NFTA_SET_DESC, func(e *netlink.AttributeEncoder) error {
			e.Uint32(unix.NFTA_SET_DESC_SIZE, 1024)
			return nil
		})
		return nil
	})
}

// enter adds the value in the register to a set, for knockLife. The match before it has
// loaded the register.
func (r rule) enter(set string) rule {
	return r.add(&expr.Dynset{SrcRegKey: register, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: knockLife})
}

func (r rule) contains(set string, port uint16) rule {
	return r.add(&expr.Immediate{Register: register, Data: bigEndian(port)}, &expr.Lookup{SourceRegister: register, SetName: set})
}

// without matches while a set does not have a port.
func (r rule) without(set string, port uint16) rule {
	return r.add(&expr.Immediate{Register: register, Data: bigEndian(port)}, &expr.Lookup{SourceRegister: register, SetName: set, Invert: true})
}

func (r rule) ctMark(m uint32) rule {
	return r.add(&expr.Ct{Key: expr.CtKeyMARK, Register: register}).equal(native(m))
}

func (r rule) ctSetMark(m uint32) rule {
	return r.add(&expr.Immediate{Register: register, Data: native(m)}, &expr.Ct{Key: expr.CtKeyMARK, Register: register, SourceRegister: true})
}

func (r rule) notIn(device string) rule {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return r.add(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}).unequal(name)
}

func (r rule) user(uid uint32) rule {
	return r.add(&expr.Meta{Key: expr.MetaKeySKUID, Register: register}).equal(native(uid))
}

// notUser also matches packets that belong to no socket.
func (r rule) notUser(uid uint32) rule {
	return r.add(&expr.Meta{Key: expr.MetaKeySKUID, Register: register}).unequal(native(uid))
}

func (r rule) priority(p uint32) rule {
	return r.add(&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: register}).equal(binary.NativeEndian.AppendUint32(nil, p))
}
