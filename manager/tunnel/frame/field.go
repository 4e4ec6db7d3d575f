package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Every frame begins with the version of the program that wrote it, and fields
// follow: a tag u8, the length u16 of the value, and the value. A reader skips
// fields that it does not know, and a field that is empty or 0 is left out. So a
// frame gets a new field without a new version.
const (
	// Version is what this program writes. A change that a new field cannot express
	// makes it grow; each side then acts by the version that the other has written.
	Version = 1
	// Oldest is the oldest version of a peer that this program understands.
	Oldest = 1
)

var errField = errors.New("malformed field in a frame")

// CheckVersion says whether this program understands a peer's frames. It
// understands all newer ones.
func CheckVersion(peer byte) error {
	if peer < Oldest {
		return fmt.Errorf("frame of version %d, the oldest that is understood is %d: plugin and traffic-manager are too far apart, run kubectl intercept upgrade", peer, Oldest)
	}
	return nil
}

// AppendField appends a field to b. The value has less than 64 KiB.
func AppendField[V string | []byte](b []byte, tag byte, value V) []byte {
	if len(value) == 0 {
		return b
	}
	b = binary.BigEndian.AppendUint16(append(b, tag), uint16(len(value)))
	return append(b, value...)
}

// AppendNumber appends a field that is a number: big endian, without leading
// zeros.
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

// Next takes the first field off b. The value borrows from b.
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

// Number reads what AppendNumber wrote, if it is most or less.
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
