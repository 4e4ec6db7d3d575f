package http1

import "github.com/kubectl-intercept/kubectl-intercept/agent/http"

const (
	// maxDigits bounds a chunk size: 2^60 bytes are enough.
	maxDigits = 15
	// maxExtension bounds the extensions of a chunk, in bytes.
	maxExtension = 4 << 10
)

// Why the end of a chunked body is not told.
const (
	flawChunkSize = "a chunk size that is not plain"
	flawChunkEnd  = "a chunk that does not end where it should"
	flawTrailer   = "a trailer that is not plain"
)

// chunks finds the end of a chunked body (RFC 9112, section 7.1). The zero value is
// ready.
type chunks struct {
	state  chunkState
	left   int64 // of the chunk
	count  int   // digits of the size, or bytes of the line or the trailers
	quotes bool  // an odd number of quotes has passed in the extensions

	name  [len("transfer-encoding")]byte // of the trailer, as far as it fits
	named int                            // the length of the name
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeEnd // LF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerName
	trailerValue
	trailerEnd // LF
	lastEnd    // LF
	chunksDone
)

// feed returns how many of the next bytes belong to the body. Flaw says why the byte
// after those is not told apart; empty, if all is well.
func (c *chunks) feed(b []byte) (n int, flaw string) {
	for n < len(b) && c.state != chunksDone {
		if c.state == chunkData {
			m := min(c.left, int64(len(b)-n))
			c.left -= m
			n += int(m)
			if c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		if flaw = c.next(b[n]); flaw != "" {
			return n, flaw
		}
		n++
	}
	return n, ""
}

// done says that the body has ended.
func (c *chunks) done() bool { return c.state == chunksDone }

// next takes one byte that is not data.
func (c *chunks) next(b byte) (flaw string) {
	switch c.state {
	case chunkSize:
		return c.digit(b)
	case chunkExtension:
		return c.extension(b)
	case chunkSizeEnd:
		return c.sizeEnd(b)
	case chunkDataCR:
		return c.expect(b, '\r', chunkDataLF, flawChunkEnd)
	case chunkDataLF:
		c.count = 0
		return c.expect(b, '\n', chunkSize, flawChunkEnd)
	case trailerEnd:
		return c.expect(b, '\n', trailerStart, flawTrailer)
	case lastEnd:
		return c.expect(b, '\n', chunksDone, flawTrailer)
	}
	return c.trailer(b)
}

func (c *chunks) expect(got, want byte, then chunkState, flaw string) string {
	if got != want {
		return flaw
	}
	c.state = then
	return ""
}

func (c *chunks) digit(b byte) string {
	digit := int64(-1)
	switch {
	case b >= '0' && b <= '9':
		digit = int64(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		digit = int64(b|0x20-'a') + 10
	}
	switch {
	case digit >= 0 && c.count < maxDigits:
		c.left = c.left<<4 | digit
		c.count++
	case digit < 0 && c.count > 0 && b == '\r':
		c.state = chunkSizeEnd
	case digit < 0 && c.count > 0 && b == ';':
		c.state, c.count, c.quotes = chunkExtension, 0, false
	default:
		return flawChunkSize
	}
	return ""
}

// extension takes a byte of the extensions. A line that ends within quotes is a flaw, since
// a reader of quoted strings would read on. A backslash in quotes is a flaw, since not every
// reader takes the quote behind it for text.
func (c *chunks) extension(b byte) string {
	c.count++
	switch {
	case b == '\r' && !c.quotes:
		c.state = chunkSizeEnd
	case !isText(b), c.count > maxExtension, b == '\\' && c.quotes:
		return flawChunkSize
	case b == '"':
		c.quotes = !c.quotes
	}
	return ""
}

func (c *chunks) sizeEnd(b byte) string {
	c.count = 0
	if c.left == 0 {
		return c.expect(b, '\n', trailerStart, flawChunkSize)
	}
	return c.expect(b, '\n', chunkData, flawChunkSize)
}

// trailer takes a byte of the trailer section. A framing field there is a flaw: some
// readers merge trailers with the header.
func (c *chunks) trailer(b byte) string {
	if c.count++; c.count > http.MaxHead {
		return flawTrailer
	}
	switch {
	case c.state == trailerStart && b == '\r':
		c.state = lastEnd
	case c.state == trailerStart && http.IsTokenByte(b):
		c.name[0], c.named, c.state = b, 1, trailerName
	case c.state == trailerName && http.IsTokenByte(b):
		if c.named < len(c.name) {
			c.name[c.named] = b
		}
		c.named++
	case c.state == trailerName && b == ':' && !http.Framing(c.name[:min(c.named, len(c.name))]):
		c.state = trailerValue
	case c.state == trailerValue && b == '\r':
		c.state = trailerEnd
	case c.state == trailerValue && isText(b):
	default:
		return flawTrailer
	}
	return ""
}

// isText says that a byte may be part of a value.
func isText(b byte) bool { return b >= ' ' && b != 0x7f || b == '\t' }
