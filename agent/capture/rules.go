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

// baseChains are made with the table. The two of type nat come after those of
// everyone else at the usual priority (-100): where a mesh redirects the wire to
// its proxy, it wins, and the plain text is captured on its loopback leg.
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
	lost := on("input", "probe missed the redirect").dport(p.Number).mark(MarkProbe)
	direct := on("input", "only through the redirect").dport(p.Agent).ctNotRedirected()
	if p.Protocol == UDP {
		return []rule{wire.redirect(p.Agent), loopback.redirect(p.Agent), lost.drop(), direct.drop()}
	}
	// A connection that conntrack meets in its middle is "new" to it. Only a
	// SYN may be redirected, or connections from before would be torn apart.
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

// endEstablished resets connections that were open before the redirect: new
// ones have the agent's port here, so whatever still comes for the captured one
// is old. Resets pass, so that the application learns of them. Answers to
// connections that the pod itself opened from this port pass too; a packet that
// conntrack calls invalid has no direction and does not.
//
// What the application still has to say passes, and the caller is reset when he
// confirms it: a reset in its place would reach the application alone, and leave
// the caller waiting for his answer.
func endEstablished(on func(chain, why string) rule, p Port) []rule {
	return []rule{
		// Conntrack takes who speaks first for who opened the connection.
		on("output", "the application's last words").sport(p.Number).
			tcpFlags(flagSYN|flagRST, 0).ctNew().ctSetMark(markLastWords).accept(),
		on("input", "open before the intercept, the application spoke first").dport(p.Number).
			tcpFlags(flagRST, 0).ctReply().ctMark(markLastWords).reset(),
		on("input", "answer to an own connection").dport(p.Number).ctReply().accept(),
		on("input", "open before the intercept").dport(p.Number).notMark(MarkBypass).
			tcpFlags(flagRST, 0).reset(),
	}
}

// draining is the only rule while redirected connections outlive the last
// redirect. It does nothing, but as long as one rule asks for it the kernel
// tracks connections, and without that it would stop to translate them.
func draining() rule {
	return rule{chain: "input", comment: "keep tracking until redirected connections have ended"}.ctNew()
}
