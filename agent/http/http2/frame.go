package http2

import (
	"encoding/binary"
	"fmt"

	framing "golang.org/x/net/http2"
)

const (
	// headSize is the size of the head of a frame.
	headSize = 9
	// maxFrame is the largest payload of a frame, in both directions. Every peer takes
	// frames of this size (RFC 9113, 4.2).
	maxFrame = 16 << 10
	// maxWindow is the largest flow-control window (RFC 9113, 6.9.1).
	maxWindow = 1<<31 - 1
	// firstWindow is the window of a stream or a connection of which nothing else was
	// said (RFC 9113, 6.9.2).
	firstWindow = 1<<16 - 1
)

// frame is a frame that has arrived. Its payload is valid until the next one is read.
type frame struct {
	kind    framing.FrameType
	flags   framing.Flags
	id      uint32
	payload []byte
}

// fault is an error of a peer that ends its connection (RFC 9113, 5.4.1).
type fault struct {
	code framing.ErrCode
	why  string
}

func (f *fault) Error() string { return fmt.Sprintf("HTTP/2 %v: %s", f.code, f.why) }

// parseHead reads the head of a frame. Size is that of the payload.
func parseHead(b []byte) (f frame, size int) {
	size = int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return frame{kind: framing.FrameType(b[3]), flags: framing.Flags(b[4]),
		id: binary.BigEndian.Uint32(b[5:]) & maxWindow}, size
}

// putHead writes the head of a frame to the beginning of b.
func putHead(b []byte, size int, kind framing.FrameType, flags framing.Flags, id uint32) {
	b[0], b[1], b[2], b[3], b[4] = byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags)
	binary.BigEndian.PutUint32(b[5:], id)
}

// unpad returns the payload of a DATA or HEADERS frame without its padding and, of
// HEADERS, without its priority, which RFC 9113 has deprecated.
func (f *frame) unpad() ([]byte, error) {
	b, padding := f.payload, 0
	if f.flags.Has(framing.FlagDataPadded) {
		if len(b) == 0 {
			return nil, &fault{framing.ErrCodeFrameSize, "a frame without the length of its padding"}
		}
		padding, b = int(b[0]), b[1:]
	}
	if f.kind == framing.FrameHeaders && f.flags.Has(framing.FlagHeadersPriority) {
		if len(b) < 5 {
			return nil, &fault{framing.ErrCodeFrameSize, "HEADERS without their priority"}
		}
		b = b[5:]
	}
	if padding > len(b) {
		return nil, &fault{framing.ErrCodeProtocol, "more padding than payload"}
	}
	return b[:len(b)-padding], nil
}
