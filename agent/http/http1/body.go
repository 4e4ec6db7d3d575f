package http1

// body is how the rest of a message's body ends. The zero value has ended.
type body struct {
	kind   bodyKind
	left   int64 // of a sized body
	chunks chunks
}

type bodyKind uint8

const (
	none bodyKind = iota
	sized
	chunked
	// toEnd is a body that ends with the stream.
	toEnd
)

// feed returns how many of the next bytes belong to the body. Flaw says why what follows
// is not told apart; empty, if all is well.
func (b *body) feed(p []byte) (n int, flaw string) {
	switch b.kind {
	case none:
		return 0, ""
	case sized:
		n = int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		return n, ""
	case chunked:
		return b.chunks.feed(p)
	}
	return len(p), ""
}

// done says that the body has ended.
func (b *body) done() bool {
	switch b.kind {
	case none:
		return true
	case sized:
		return b.left == 0
	case chunked:
		return b.chunks.done()
	}
	return false
}
