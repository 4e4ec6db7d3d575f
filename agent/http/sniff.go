package http

import "bytes"

// Protocol is what a connection speaks, as far as its first bytes tell.
type Protocol int

const (
	// Unknown: more bytes may tell.
	Unknown Protocol = iota
	// HTTP1: the first line is that of an HTTP/1 request.
	HTTP1
	// HTTP2: the preface of HTTP/2 (RFC 9113, section 3.4).
	HTTP2
	// Other: certainly neither, such as TLS.
	Other
)

const (
	// maxMethod bounds what is taken for a method, in bytes.
	maxMethod = 64
	// maxLine is how much of a first line without an end is looked at, in bytes. What
	// begins as HTTP/1 for so long is HTTP/1.
	maxLine = 8 << 10
)

// Sniff tells the protocol of a connection by its first bytes. The request line decides,
// by its form, since a method may be any token.
func Sniff(first []byte) Protocol {
	switch Preface(first) {
	case Request:
		return HTTP2
	case Partial:
		return Unknown
	}
	line, _, whole := bytes.Cut(first[:min(len(first), maxLine)], []byte("\n"))
	method, rest, spaced := bytes.Cut(line, []byte(" "))
	if !spaced {
		if whole || len(method) > maxMethod || len(method) > 0 && !IsToken(method) {
			return Other
		}
		return Unknown
	}
	rest, _ = bytes.CutSuffix(rest, []byte("\r"))
	target, version := cutLast(rest)
	switch {
	case len(method) > maxMethod, !IsToken(method), bytes.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Other
	case whole && len(target) > 0 && isVersion(version), !whole && len(line) == maxLine:
		return HTTP1
	case whole:
		return Other
	}
	return Unknown
}

// isVersion says that b names a version of HTTP, such as HTTP/1.1.
func isVersion(b []byte) bool {
	digits, ok := bytes.CutPrefix(b, []byte("HTTP/"))
	return ok && len(digits) == 3 && isDigit(digits[0]) && digits[1] == '.' && isDigit(digits[2])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
