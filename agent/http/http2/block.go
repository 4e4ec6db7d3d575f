package http2

import (
	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// maxBlock bounds the bytes of a header block. Only a peer that ignores our
// SETTINGS_MAX_HEADER_LIST_SIZE comes near it.
const maxBlock = 2 * maxFields

// block is a header block, which arrives as HEADERS and maybe CONTINUATION. It is decoded
// as it arrives, and always to its end: the decoder's table follows from all blocks.
type block struct {
	decoder *hpack.Decoder
	open    bool // CONTINUATION must follow
	id      uint32
	over    bool // the stream ends with it

	fields []hpack.HeaderField
	bytes  int // as they came
	size   int // as RFC 9113 counts
	large  bool
}

// add takes one field from the decoder.
func (b *block) add(f hpack.HeaderField) {
	if b.size += int(f.Size()); b.size > maxFields {
		b.large = true
		b.decoder.SetEmitEnabled(false)
		return
	}
	b.fields = append(b.fields, f)
}

// onHeaders follows HEADERS and CONTINUATION.
func (l *leg) onHeaders(f frame) error {
	b := &l.block
	switch {
	case b.open && (f.kind != framing.FrameContinuation || f.id != b.id):
		return &fault{framing.ErrCodeProtocol, "a header block that is interrupted"}
	case !b.open && f.kind == framing.FrameContinuation:
		return &fault{framing.ErrCodeProtocol, "CONTINUATION of nothing"}
	case f.id == 0:
		return &fault{framing.ErrCodeProtocol, "HEADERS of no stream"}
	case !l.peer.known: // only this goroutine writes it
		return &fault{framing.ErrCodeProtocol, "HEADERS before SETTINGS"}
	}
	payload := f.payload
	if f.kind == framing.FrameHeaders {
		var err error
		if payload, err = f.unpad(); err != nil {
			return err
		}
		b.id, b.over, b.bytes, b.size, b.large = f.id, f.flags.Has(framing.FlagHeadersEndStream), 0, 0, false
		b.fields = b.fields[:0]
		b.decoder.SetEmitEnabled(true)
	} else if len(payload) < maxFrame/16 {
		l.s.mu.Lock()
		err := l.bear()
		l.s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if b.bytes += len(payload); b.bytes > maxBlock {
		return &fault{framing.ErrCodeEnhanceYourCalm, "a header block that does not end"}
	}
	if _, err := b.decoder.Write(payload); err != nil {
		return &fault{framing.ErrCodeCompression, err.Error()}
	}
	if b.open = !f.flags.Has(framing.FlagHeadersEndHeaders); b.open {
		return nil
	}
	if err := b.decoder.Close(); err != nil {
		return &fault{framing.ErrCodeCompression, err.Error()}
	}
	if l.target == nil {
		return l.s.onRequest(b)
	}
	return l.onAnswer(b)
}
