package capture

import "golang.org/x/sys/unix"

// tableName is the name of an ephemeral agent's table, which has the family inet.
const tableName = "kubectl-intercept"

// chain is an nftables base chain, which belongs to a hook of the kernel.
type chain struct {
	name     string
	kind     string
	hook     uint32
	priority int32
}

// baseChains returns the chains of the table. The two chains of type nat run after all
// chains with the usual priority -100. So a service mesh redirects connections from
// other pods to its proxy first. The agent captures the connections that the proxy makes
// to the application over loopback, which are not encrypted.
func baseChains() []chain {
	const afterMesh = -90
	return []chain{
		{"wire", "nat", unix.NF_INET_PRE_ROUTING, afterMesh},
		{"loopback", "nat", unix.NF_INET_LOCAL_OUT, afterMesh},
		{"input", "filter", unix.NF_INET_LOCAL_IN, 0},
		{"output", "filter", unix.NF_INET_LOCAL_OUT, 0},
	}
}

// rulesFor returns the rules of one captured port.
func rulesFor(p Port) []rule {
	on := func(chain, why string) rule {
		return rule{chain: chain, comment: p.String() + ": " + why}.protocol(p.Protocol)
	}
	wire := on("wire", "redirect").dport(p.Number).notMark(MarkBypass)
	loopback := on("loopback", "redirect").out("lo").dport(p.Number).notMark(MarkBypass)
	lost := on("input", "the agent's test missed the redirect").dport(p.Number).mark(MarkProof)
	direct := on("input", "only through the redirect").dport(p.Agent).ctNotRedirected()
	if p.Protocol == UDP {
		return []rule{wire.redirect(p.Agent), loopback.redirect(p.Agent), lost.drop(), direct.drop()}
	}
	// Conntrack also calls a connection "new" if it has not seen its first packet. So
	// the rules redirect only SYN packets. Otherwise connections that were open before
	// would break.
	const kinds = flagFIN | flagSYN | flagRST | flagACK
	rules := []rule{
		wire.tcpFlags(kinds, flagSYN).redirect(p.Agent),
		loopback.tcpFlags(kinds, flagSYN).redirect(p.Agent),
		lost.reset(),
		direct.reset(),
	}
	if p.KeepEstablished {
		return rules
	}
	for _, node := range p.Nodes {
		rules = append(rules, on("input", "a probe of the kubelet's may be under way").dport(p.Number).
			source(node).before(p.ResetNodes).accept())
	}
	return append(rules, endEstablished(on, p)...)
}

// endEstablished returns rules that reset connections that were open before the
// redirect. In these chains, packets of new connections have the agent's port as their
// destination. So packets to the captured port belong to old connections. The rules
// accept resets, so that the application receives them. They also accept answers to
// connections that the pod itself opened from this port. They do not accept packets that
// conntrack calls invalid, because these have no direction.
//
// The rules accept packets that the application still sends. They reset the caller when
// it acknowledges such a packet. If they refused the packet instead, only the application
// would be reset, and the caller would wait for an answer.
func endEstablished(on func(chain, why string) rule, p Port) []rule {
	return []rule{
		// Conntrack takes the sender of the first packet that it sees for the client.
		on("output", "sent by the application on an open connection").sport(p.Number).
			tcpFlags(flagSYN|flagRST, 0).ctNew().ctSetMark(markAppFirst).accept(),
		on("input", "open before the intercept, the application spoke first").dport(p.Number).
			tcpFlags(flagRST, 0).ctReply().ctMark(markAppFirst).reset(),
		on("input", "answer to an own connection").dport(p.Number).ctReply().accept(),
		on("input", "open before the intercept").dport(p.Number).notMark(MarkBypass).
			tcpFlags(flagRST, 0).reset(),
	}
}

// draining returns the only rule of the table after the last redirect has been removed
// while redirected connections are still open. The rule does nothing but require
// conntrack. Without such a rule, the kernel would stop tracking connections and applying
// NAT to them.
func draining() rule {
	return rule{chain: "input", comment: "keep tracking until redirected connections have ended"}.ctNew()
}
