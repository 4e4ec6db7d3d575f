package probe

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// sniffPreface looks for a client that speaks HTTP/2 without TLS.
func sniffPreface(b []byte) Kind {
	n := min(len(b), len(http2.ClientPreface))
	switch {
	case string(b[:n]) != http2.ClientPreface[:n]:
		return Other
	case n < len(http2.ClientPreface):
		return Unknown
	}
	return Greet
}

const (
	frameHeader = 9
	// maxHeaders bounds the headers of a request that may be the kubelet's.
	maxHeaders = 8 << 10
)

// Settings is what an HTTP/2 server says first: a SETTINGS frame that sets
// nothing. Whoever serves the connection then says his own.
func Settings() []byte { return make2(http2.FrameSettings, 0) }

func make2(t http2.FrameType, flags http2.Flags) []byte {
	return []byte{0, 0, 0, byte(t), byte(flags), 0, 0, 0, 0}
}

// Greeting says whose connection it is that began with these bytes, an HTTP/2
// preface first. It is Unknown up to the client's first request, for which some
// clients, the kubelet's gRPC among them, wait until the server has sent
// Settings.
func Greeting(b []byte) Kind {
	b = b[len(http2.ClientPreface):]
	for {
		if len(b) < frameHeader {
			return Unknown
		}
		size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		kind, flags := http2.FrameType(b[3]), http2.Flags(b[4])
		switch kind {
		case http2.FrameSettings, http2.FrameWindowUpdate, http2.FramePriority:
		case http2.FrameHeaders:
			if size > maxHeaders || !flags.Has(http2.FlagHeadersEndHeaders) {
				return Other
			}
		default:
			return Other
		}
		if len(b) < frameHeader+size {
			return Unknown
		}
		if kind == http2.FrameHeaders {
			return healthCheck(b[:frameHeader+size])
		}
		b = b[frameHeader+size:]
	}
}

// healthCheck says whether a HEADERS frame is the request of the kubelet's gRPC
// probe.
func healthCheck(frame []byte) Kind {
	f := http2.NewFramer(nil, bytes.NewReader(frame))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	got, err := f.ReadFrame()
	if err != nil {
		return Other
	}
	h, ok := got.(*http2.MetaHeadersFrame)
	if !ok || h.PseudoValue("path") != "/grpc.health.v1.Health/Check" {
		return Other
	}
	if slices.ContainsFunc(h.RegularFields(), func(f hpack.HeaderField) bool {
		return f.Name == "user-agent" && strings.HasPrefix(f.Value, "kube-probe/")
	}) {
		return Probe
	}
	return Other
}

// AckFilter takes out of what a client sends its answer to the Settings that it
// got from us: the server that serves it has not sent them.
type AckFilter struct {
	left int // of the frame, or preface, that is passing
	head []byte
	done bool
}

// NewAckFilter is for a connection from its first byte on.
func NewAckFilter() *AckFilter { return &AckFilter{left: len(http2.ClientPreface)} }

// Done says that the answer has come: nothing more is taken out.
func (f *AckFilter) Done() bool { return f.done }

// Feed appends to out what passes of in.
func (f *AckFilter) Feed(out, in []byte) []byte {
	ack := make2(http2.FrameSettings, http2.FlagSettingsAck)
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
