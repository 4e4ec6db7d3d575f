package capture

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
)

// Marks are compared whole, but others on a node test single bits.
func TestMarksKeepClearOfOthers(t *testing.T) {
	for _, m := range []uint32{MarkBypass, MarkProof, markOwn, markAppFirst} {
		if m&0xc000 != 0 {
			t.Errorf("%#x has bits of kube-proxy", m)
		}
		if m&0xfff == 0x539 {
			t.Errorf("%#x is Istio's mark", m)
		}
	}
	if MarkBypass == MarkProof {
		t.Error("one mark for two things")
	}
}

func TestRulesFor(t *testing.T) {
	count := func(p Port) (redirects, rejects, drops int) {
		for _, r := range rulesFor(p) {
			if !strings.HasPrefix(r.comment, p.String()) {
				t.Errorf("comment %q", r.comment)
			}
			switch e := r.exprs[len(r.exprs)-1].(type) {
			case *expr.Redir:
				redirects++
			case *expr.Reject:
				rejects++
			case *expr.Verdict:
				if e.Kind == expr.VerdictDrop {
					drops++
				}
			}
		}
		return redirects, rejects, drops
	}
	for _, c := range []struct {
		port                      Port
		redirects, rejects, drops int
	}{
		{Port{Number: 80, Protocol: TCP, Agent: 4000}, 2, 4, 0},
		{Port{Number: 80, Protocol: TCP, Agent: 4000, KeepEstablished: true}, 2, 2, 0},
		{Port{Number: 80, Protocol: TCP, Agent: 4000, Nodes: []netip.Addr{netip.MustParseAddr("fd00::1")}}, 2, 4, 0},
		{Port{Number: 53, Protocol: UDP, Agent: 4000}, 2, 0, 2},
	} {
		if r, j, d := count(c.port); r != c.redirects || j != c.rejects || d != c.drops {
			t.Errorf("%+v: %d redirects, %d rejects, %d drops", c.port, r, j, d)
		}
	}
}

// A rule's methods must not write into the slice of the rule they grew from.
func TestRulesDoNotShare(t *testing.T) {
	base := rule{}.protocol(TCP).dport(80)
	a, b := base.drop(), base.accept()
	if a.exprs[len(a.exprs)-1] == b.exprs[len(b.exprs)-1] {
		t.Error("the second rule overwrote the first")
	}
}

func TestProofBook(t *testing.T) {
	var b ProofBook
	source := netip.MustParseAddrPort("10.0.0.1:4000")
	if _, ok := b.Answer(source); ok {
		t.Error("answer out of an empty book")
	}
	b.add(source, [16]byte{1})
	mapped := netip.AddrPortFrom(netip.AddrFrom16(source.Addr().As16()), source.Port())
	if n, ok := b.Answer(mapped); !ok || n[0] != 1 {
		t.Error("no answer to the mapped form of the address")
	}
	b.remove(source)
	if _, ok := b.Answer(source); ok {
		t.Error("answer after removal")
	}
}
