package datagram

import (
	"encoding/binary"
	"errors"
)

// AppendEcho appends one message of an ICMP flow, a request or a reply: u16
// sequence number and payload. The caller sends the message as a datagram.
func AppendEcho(b []byte, seq uint16, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, seq), payload...)
}

// ParseEcho decodes a message of AppendEcho. The payload is a slice of b, not a
// copy.
func ParseEcho(b []byte) (seq uint16, payload []byte, err error) {
	if len(b) < 2 {
		return 0, nil, errors.New("malformed echo")
	}
	return binary.BigEndian.Uint16(b), b[2:], nil
}
