package http

import (
	"bytes"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

const (
	frameHeader = 9
	// maxHeaders bounds the headers of a first request, in bytes.
	maxHeaders = 8 << 10
)

// Preface says whether b begins with the connection preface of HTTP/2. It is
// Request once the preface is whole.
func Preface(b []byte) Progress {
	n := min(len(b), len(http2.ClientPreface))
	switch {
	case string(b[:n]) != http2.ClientPreface[:n]:
		return NoRequest
	case n < len(http2.ClientPreface):
		return Partial
	}
	return Request
}

// Settings is the first frame of an HTTP/2 server: SETTINGS that set nothing.
// The server that serves the connection in the end sends its own after it.
func Settings() []byte { return emptyFrame(http2.FrameSettings, 0) }

func emptyFrame(t http2.FrameType, flags http2.Flags) []byte {
	return []byte{0, 0, 0, byte(t), byte(flags), 0, 0, 0, 0}
}

// FirstRequest reads the first request on an HTTP/2 connection, whose preface b
// begins with. Some clients, the kubelet's gRPC among them, send it only after
// the server's Settings. A request that is long, or whose headers come in several
// frames, is NoRequest.
func FirstRequest(b []byte) (*Head, Progress) {
	b = b[len(http2.ClientPreface):]
	for {
		if len(b) < frameHeader {
			return nil, Partial
		}
		size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		kind, flags := http2.FrameType(b[3]), http2.Flags(b[4])
		switch kind {
		case http2.FrameSettings, http2.FrameWindowUpdate, http2.FramePriority:
		case http2.FrameHeaders:
			if size > maxHeaders || !flags.Has(http2.FlagHeadersEndHeaders) {
				return nil, NoRequest
			}
		default:
			return nil, NoRequest
		}
		if len(b) < frameHeader+size {
			return nil, Partial
		}
		if kind == http2.FrameHeaders {
			return parseHeaders(b[:frameHeader+size])
		}
		b = b[frameHeader+size:]
	}
}

// parseHeaders reads a HEADERS frame.
func parseHeaders(frame []byte) (*Head, Progress) {
	f := http2.NewFramer(nil, bytes.NewReader(frame))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	got, err := f.ReadFrame()
	if err != nil {
		return nil, NoRequest
	}
	meta, ok := got.(*http2.MetaHeadersFrame)
	if !ok {
		return nil, NoRequest
	}
	h := &Head{Method: []byte(meta.PseudoValue("method")), Target: []byte(meta.PseudoValue("path")), Complete: true}
	for _, field := range meta.RegularFields() {
		h.Fields = append(h.Fields, match.Field{Name: []byte(field.Name), Value: []byte(field.Value)})
	}
	return h, Request
}
