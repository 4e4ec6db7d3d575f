package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableOwner is NFT_TABLE_F_OWNER, which Linux has since 5.12. The kernel removes a
// table with this flag when the netlink socket that made it is closed.
const tableOwner = 0x2

// commentType is nft's type number for a comment in the user data of a rule.
const commentType = 0

func request(kind, flags uint16, attrs func(*netlink.AttributeEncoder) error) (message, error) {
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	if err := attrs(e); err != nil {
		return message{}, err
	}
	b, err := e.Encode()
	if err != nil {
		return message{}, fmt.Errorf("encode request: %w", err)
	}
	return message{
		kind: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, flags: flags,
		family: unix.NFPROTO_INET, attrs: b,
	}, nil
}

func newTable(table string, flags uint32) (message, error) {
	return request(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|exclusive(flags),
		func(e *netlink.AttributeEncoder) error {
			e.String(unix.NFTA_TABLE_NAME, table)
			e.Uint32(unix.NFTA_TABLE_FLAGS, flags)
			return nil
		})
}

// exclusive returns NLM_F_EXCL for a table with an owner. The kernel then refuses to
// make the table if it exists.
func exclusive(tableFlags uint32) uint16 {
	if tableFlags&tableOwner != 0 {
		return unix.NLM_F_EXCL
	}
	return 0
}

func delTable(table string) (message, error) {
	return request(unix.NFT_MSG_DELTABLE, 0, func(e *netlink.AttributeEncoder) error {
		e.String(unix.NFTA_TABLE_NAME, table)
		return nil
	})
}

func newChain(table string, c chain) (message, error) {
	return request(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func(e *netlink.AttributeEncoder) error {
		e.String(unix.NFTA_CHAIN_TABLE, table)
		e.String(unix.NFTA_CHAIN_NAME, c.name)
		e.String(unix.NFTA_CHAIN_TYPE, c.kind)
		e.Nested(unix.NFTA_CHAIN_HOOK, func(e *netlink.AttributeEncoder) error {
			e.Uint32(unix.NFTA_HOOK_HOOKNUM, c.hook)
			e.Int32(unix.NFTA_HOOK_PRIORITY, c.priority)
			return nil
		})
		return nil
	})
}

// delRules deletes all rules in all chains of the agent's table.
func delRules() (message, error) {
	return request(unix.NFT_MSG_DELRULE, 0, func(e *netlink.AttributeEncoder) error {
		e.String(unix.NFTA_RULE_TABLE, tableName)
		return nil
	})
}

func newRule(table string, r rule) (message, error) {
	return request(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		func(e *netlink.AttributeEncoder) error {
			e.String(unix.NFTA_RULE_TABLE, table)
			e.String(unix.NFTA_RULE_CHAIN, r.chain)
			e.Nested(unix.NFTA_RULE_EXPRESSIONS, func(e *netlink.AttributeEncoder) error {
				for _, x := range r.exprs {
					b, err := expr.Marshal(unix.NFPROTO_INET, x)
					if err != nil {
						return fmt.Errorf("encode %T of rule %q: %w", x, r.comment, err)
					}
					e.Bytes(unix.NLA_F_NESTED|unix.NFTA_LIST_ELEM, b)
				}
				return nil
			})
			text := append([]byte(r.comment), 0)
			e.Bytes(unix.NFTA_RULE_USERDATA, append([]byte{commentType, byte(len(text))}, text...))
			return nil
		})
}
