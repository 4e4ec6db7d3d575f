package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Every frame begins with one byte, the Version of the program that wrote it.
// Fields follow: u8 tag, u16 length of the value, and the value. A reader skips
// fields that it does not know, and a writer leaves out a field that is empty or 0.
// So a new field needs no new version.
const (
	// Version is the version that this program writes. It is increased for a change
	// that a new field cannot express. Each side then adapts to the version that
	// its peer has written.
	Version = 1
	// Oldest is the oldest version of a peer that this program accepts.
	Oldest = 1
)

var errField = errors.New("malformed field in a frame")

// CheckVersion returns an error if a peer's version is older than Oldest. It
// accepts all newer versions.
func CheckVersion(peer byte) error {
	if peer < Oldest {
		return fmt.Errorf("frame of version %d, the oldest that is understood is %d: plugin and traffic-manager are too far apart, run kubectl intercept upgrade", peer, Oldest)
	}
	return nil
}

// AppendField appends a field to b, unless the value is empty. The value must be
// shorter than 64 KiB.
func AppendField[V string | []byte](b []byte, tag byte, value V) []byte {
	if len(value) == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint16(append(b, tag), uint16(len(value)))
	return append(b, value...)
}

// AppendNumber appends a field with a number, unless the number is 0. The value is
// big-endian, without leading zeros.
func AppendNumber(b []byte, tag byte, n uint64) []byte {
	size := (bits.Len64(n) + 7) / 8
	if size == 0 {
		return b
	}
	b = append(b, tag, 0, byte(size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// Next decodes the first field of b and returns the bytes after it as rest. The
// value is a slice of b, not a copy.
func Next(b []byte) (tag byte, value, rest []byte, err error) {
	const head = 3
	if len(b) < head {
		return 0, nil, nil, errField
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if len(b)-head < n {
		return 0, nil, nil, errField
	}
	return b[0], b[head : head+n], b[head+n:], nil
}

// Number decodes a value that AppendNumber wrote. It fails if the number is greater
// than most.
func Number(value []byte, most uint64) (uint64, error) {
	if len(value) > 8 {
		return 0, errField
	}
	var n uint64
	for _, b := range value {
		n = n<<8 | uint64(b)
	}
	if n > most {
		return 0, errField
	}
	return n, nil
}
