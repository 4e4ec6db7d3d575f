package capture

import "golang.org/x/sys/unix"

// tableName is the one table of an agent, of the inet family.
const tableName = "kubectl-intercept"

// chain is a base chain: a place in the kernel where rules are consulted.
type chain struct {
	name     string
	kind     string
	hook     uint32
	priority int32
}

// baseChains are made with the table. The two of type nat come after all chains at
// the usual priority, -100. So where a mesh redirects the wire to its proxy, the
// mesh wins, and the agent captures the plain text that the proxy sends over the
// loopback.
func baseChains() []chain {
	const afterMesh = -90
	return []chain{
		{"wire", "nat", unix.NF_INET_PRE_ROUTING, afterMesh},
		{"loopback", "nat", unix.NF_INET_LOCAL_OUT, afterMesh},
		{"input", "filter", unix.NF_INET_LOCAL_IN, 0},
		{"output", "filter", unix.NF_INET_LOCAL_OUT, 0},
	}
}

// rulesFor are the rules of one captured port.
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
	// A connection of which conntrack has not seen the beginning is "new" to it,
	// too. Only a SYN may be redirected, or connections from before would break.
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
	return append(rules, endEstablished(on, p)...)
}

// endEstablished resets connections that were open before the redirect. New
// connections have the agent's port here, so packets for the captured port are of
// old ones. Resets pass, so that the application learns of them. Answers to
// connections that the pod itself opened from this port pass too. A packet that
// conntrack calls invalid has no direction and does not pass.
//
// What the application still sends passes, and the caller is reset when it
// acknowledges that. A reset in place of the application's packet would reach the
// application alone, and the caller would wait for its answer.
func endEstablished(on func(chain, why string) rule, p Port) []rule {
	return []rule{
		// Conntrack takes the side that it sees first for the one that opened the
		// connection.
		on("output", "the application's last words").sport(p.Number).
			tcpFlags(flagSYN|flagRST, 0).ctNew().ctSetMark(markLastWords).accept(),
		on("input", "open before the intercept, the application spoke first").dport(p.Number).
			tcpFlags(flagRST, 0).ctReply().ctMark(markLastWords).reset(),
		on("input", "answer to an own connection").dport(p.Number).ctReply().accept(),
		on("input", "open before the intercept").dport(p.Number).notMark(MarkBypass).
			tcpFlags(flagRST, 0).reset(),
	}
}

// draining is the only rule while redirected connections outlive the last redirect.
// It matches and does nothing. The kernel tracks connections only as long as a rule
// needs that, and what it does not track it does not translate.
func draining() rule {
	return rule{chain: "input", comment: "keep tracking until redirected connections have ended"}.ctNew()
}
