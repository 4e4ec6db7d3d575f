package volume

import (
	"encoding/binary"
	"errors"
)

// Attr are the attributes of a file, in the numbers of Linux. Times are in nanoseconds since
// 1970.
type Attr struct {
	Mode, UID, GID, Nlink     uint32
	Size, Ino, Rdev, Blocks   uint64
	MtimeNS, CtimeNS, AtimeNS int64
}

// The file types of Linux, as bits of Attr.Mode.
const (
	TypeMask    = 0o170000
	TypeDir     = 0o040000
	TypeRegular = 0o100000
	TypeLink    = 0o120000
)

// Is says that the file is of this type.
func (a *Attr) Is(fileType uint32) bool { return a.Mode&TypeMask == fileType }

// Same says that the content of a file with attributes a has not changed until it had
// attributes b.
func (a *Attr) Same(b *Attr) bool {
	return a.Ino == b.Ino && a.Size == b.Size && a.MtimeNS == b.MtimeNS && a.CtimeNS == b.CtimeNS
}

// AttrName is the name of the extended attribute of SFTP that holds an encoded Attr. In a
// SETSTAT, its AtimeNS and MtimeNS are the times to set, and the rest is zero.
const AttrName = "attr@kubectl-intercept.dev"

// SyncName is the name of the extended attribute that a client sets in a SETSTAT, with any
// value, to have the file written to the disk.
const SyncName = "sync@kubectl-intercept.dev"

// MaxPacket is the most data in one answer to a READ of SFTP, and in one WRITE.
const MaxPacket = 128 << 10

// ErrMalformed says that the peer has sent something that is not of this protocol.
var ErrMalformed = errors.New("the peer does not speak the protocol of volumes")

// Append appends the encoded attributes to b.
func (a *Attr) Append(b []byte) []byte {
	for _, v := range []uint64{uint64(a.Mode), uint64(a.UID), uint64(a.GID), uint64(a.Nlink), a.Size, a.Ino, a.Rdev, a.Blocks} {
		b = binary.AppendUvarint(b, v)
	}
	for _, v := range []int64{a.MtimeNS, a.CtimeNS, a.AtimeNS} {
		b = binary.AppendVarint(b, v)
	}
	return b
}

// DecodeAttr reads what Append has written.
func DecodeAttr(b []byte) (Attr, error) {
	r := reader{b: b}
	a := r.attr()
	return a, r.end()
}

// reader takes fields off a message. The first error stays.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	return v * r.take(n)
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	return v * int64(r.take(n))
}

// take drops n bytes. It returns 1, or 0 if they are not there.
func (r *reader) take(n int) uint64 {
	if r.bad || n <= 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return 1
}

func (r *reader) uint32() uint32 {
	v := r.uint()
	if v > 1<<32-1 {
		r.bad = true
	}
	return uint32(v)
}

// bytes returns a part of the message, not a copy.
func (r *reader) bytes() []byte {
	n := r.uint()
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	part := r.b[:n:n]
	r.b = r.b[n:]
	return part
}

func (r *reader) attr() (a Attr) {
	a.Mode, a.UID, a.GID, a.Nlink = r.uint32(), r.uint32(), r.uint32(), r.uint32()
	a.Size, a.Ino, a.Rdev, a.Blocks = r.uint(), r.uint(), r.uint(), r.uint()
	a.MtimeNS, a.CtimeNS, a.AtimeNS = r.int(), r.int(), r.int()
	return a
}

// end returns ErrMalformed if a field was missing or if there are more.
func (r *reader) end() error {
	if r.bad || len(r.b) > 0 {
		return ErrMalformed
	}
	return nil
}

func appendBytes[T string | []byte](b []byte, part T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}
