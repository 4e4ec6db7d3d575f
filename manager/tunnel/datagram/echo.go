package datagram

import (
	"encoding/binary"
	"errors"
)

// AppendEcho appends one message of an ICMP flow, a request or its reply:
// sequence number u16 and payload. On the flow it is framed as a datagram.
func AppendEcho(b []byte, seq uint16, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, seq), payload...)
}

// ParseEcho reads what AppendEcho appended. The payload borrows from b.
func ParseEcho(b []byte) (seq uint16, payload []byte, err error) {
	if len(b) < 2 {
		return 0, nil, errors.New("malformed echo")
	}
	return binary.BigEndian.Uint16(b), b[2:], nil
}
