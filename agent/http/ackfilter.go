package http

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/net/http2"
)

// AckFilter takes the acknowledgment of our Settings out of what an HTTP/2 client
// sends: the server that serves the client has not sent them.
type AckFilter struct {
	left int // of the frame, or preface, that is passing
	head []byte
	done bool
}

// NewAckFilter returns a filter for a connection from its first byte on.
func NewAckFilter() *AckFilter { return &AckFilter{left: len(http2.ClientPreface)} }

// Done says that the acknowledgment has come: nothing more is taken out.
func (f *AckFilter) Done() bool { return f.done }

// Feed appends to out what passes of in.
func (f *AckFilter) Feed(out, in []byte) []byte {
	ack := emptyFrame(http2.FrameSettings, http2.FlagSettingsAck)
	for len(in) > 0 {
		if f.done {
			return append(out, in...)
		}
		if f.left > 0 {
			n := min(f.left, len(in))
			out, in, f.left = append(out, in[:n]...), in[n:], f.left-n
			continue
		}
		n := min(frameHeader-len(f.head), len(in))
		f.head, in = append(f.head, in[:n]...), in[n:]
		if len(f.head) < frameHeader {
			return out
		}
		if bytes.Equal(f.head, ack) {
			f.done = true
		} else {
			f.left = int(binary.BigEndian.Uint32(f.head) >> 8)
			out = append(out, f.head...)
		}
		f.head = f.head[:0]
	}
	return out
}
