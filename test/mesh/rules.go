//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const register = 1

// SetRules makes the redirects of the mesh's init container, in the table and
// chains in which iptables would make them.
func SetRules(c *Config) error {
	conn := &nftables.Conn{}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "nat"})
	chain := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: hook, Priority: nftables.ChainPriorityNATDest})
	}
	in, out := chain("PREROUTING", nftables.ChainHookPrerouting), chain("OUTPUT", nftables.ChainHookOutput)
	for _, r := range inbound(c) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: in, Exprs: r})
	}
	for _, r := range outbound(c) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: out, Exprs: r})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("set rules (needs NET_ADMIN): %w", err)
	}
	return nil
}

func inbound(c *Config) []rule {
	var rules []rule
	for _, p := range c.SpareIn {
		rules = append(rules, tcp().ports(PortRange{p, p}).pass())
	}
	return append(rules, tcp().redirect(c.In))
}

func outbound(c *Config) []rule {
	var skip []rule
	for _, r := range c.SkipOutPorts {
		skip = append(skip, tcp().ports(r).pass())
	}
	if !c.UsesGroup { // linkerd
		rules := []rule{rule{}.owner(expr.MetaKeySKUID, expr.CmpOpEq, c.User).pass(), rule{}.loopback().pass()}
		return append(append(rules, skip...), tcp().redirect(c.Out))
	}
	rules := append(skip, rule{}.address(source, expr.CmpOpEq, netip.PrefixFrom(c.PassesOnFrom, 32)).loopback().pass())
	here := netip.MustParsePrefix("127.0.0.1/32")
	for _, owner := range []expr.MetaKey{expr.MetaKeySKUID, expr.MetaKeySKGID} {
		rules = append(rules,
			tcp().loopback().address(destination, expr.CmpOpNeq, here).owner(owner, expr.CmpOpEq, c.User).redirect(c.In),
			rule{}.loopback().owner(owner, expr.CmpOpNeq, c.User).pass(),
			rule{}.owner(owner, expr.CmpOpEq, c.User).pass())
	}
	for _, p := range c.SkipOutRanges {
		rules = append(rules, rule{}.address(destination, expr.CmpOpEq, p).pass())
	}
	return append(rules, rule{}.address(destination, expr.CmpOpEq, here).pass(), tcp().redirect(c.Out))
}

// rule is the list of expressions of one nftables rule. Each method appends a match
// or a verdict.
type rule []expr.Any

// Offsets in the IPv4 header.
const (
	source      = 12
	destination = 16
)

func tcp() rule {
	return rule{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{unix.IPPROTO_TCP}}}
}

func (r rule) ports(p PortRange) rule {
	return append(r, &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Range{Op: expr.CmpOpEq, Register: register, FromData: port(p.From), ToData: port(p.To)})
}

func (r rule) address(offset uint32, op expr.CmpOp, p netip.Prefix) rule {
	return append(r, &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: register, Data: p.Addr().AsSlice()})
}

func (r rule) loopback() rule {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, "lo")
	return append(r, &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: name})
}

func (r rule) owner(key expr.MetaKey, op expr.CmpOp, id uint32) rule {
	return append(r, &expr.Meta{Key: key, Register: register},
		&expr.Cmp{Op: op, Register: register, Data: binary.NativeEndian.AppendUint32(nil, id)})
}

func (r rule) pass() rule { return append(r, &expr.Verdict{Kind: expr.VerdictReturn}) }

func (r rule) redirect(to uint16) rule {
	return append(r, &expr.Immediate{Register: register, Data: port(to)}, &expr.Redir{RegisterProtoMin: register})
}

func port(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }
