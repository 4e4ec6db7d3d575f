package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// builder collects messages, and the first error that occurred while making one.
type builder struct {
	messages []message
	err      error
}

func (b *builder) add(m message, err error) {
	if b.err == nil {
		b.err = err
	}
	b.messages = append(b.messages, m)
}

// decodeRule returns a rule's table, and its chain and comment as one key.
func decodeRule(body []byte) (table, key string, err error) {
	if len(body) < 4 {
		return "", "", fmt.Errorf("decode rule: %d bytes", len(body))
	}
	d, err := netlink.NewAttributeDecoder(body[4:])
	if err != nil {
		return "", "", fmt.Errorf("decode rule: %w", err)
	}
	var chain, comment string
	for d.Next() {
		switch d.Type() {
		case unix.NFTA_RULE_TABLE:
			table = d.String()
		case unix.NFTA_RULE_CHAIN:
			chain = d.String()
		case unix.NFTA_RULE_USERDATA:
			if b := d.Bytes(); len(b) > 2 && b[0] == commentType {
				comment = string(bytes.TrimRight(b[2:], "\x00"))
			}
		}
	}
	if err := d.Err(); err != nil {
		return "", "", fmt.Errorf("decode rule: %w", err)
	}
	return table, chain + " " + comment, nil
}

// decodeChain returns a chain and its table. Only base chains have a kind.
func decodeChain(body []byte) (c chain, table string, err error) {
	if len(body) < 4 {
		return c, "", fmt.Errorf("decode chain: %d bytes", len(body))
	}
	d, err := netlink.NewAttributeDecoder(body[4:])
	if err != nil {
		return c, "", fmt.Errorf("decode chain: %w", err)
	}
	d.ByteOrder = binary.BigEndian
	for d.Next() {
		switch d.Type() {
		case unix.NFTA_CHAIN_TABLE:
			table = d.String()
		case unix.NFTA_CHAIN_NAME:
			c.name = d.String()
		case unix.NFTA_CHAIN_TYPE:
			c.kind = d.String()
		case unix.NFTA_CHAIN_HOOK:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					switch d.Type() {
					case unix.NFTA_HOOK_HOOKNUM:
						c.hook = d.Uint32()
					case unix.NFTA_HOOK_PRIORITY:
						c.priority = d.Int32()
					}
				}
				return d.Err()
			})
		}
	}
	if err := d.Err(); err != nil {
		return c, "", fmt.Errorf("decode chain: %w", err)
	}
	return c, table, nil
}
