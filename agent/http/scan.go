package http

// Why a head, or the rest of a connection, is not told apart. The texts are few, so that
// they can be counted.
const (
	FlawLineEnd = "a line does not end with CR LF"
	FlawByte    = "a control character"
	FlawLong    = "a head that is too long"
	FlawLine    = "a first line that is not of HTTP/1.0 or 1.1"
	FlawField   = "a header line without a proper name"
	FlawFold    = "a folded line where framing depends on it"
)

// MaxHead bounds the head of a message, in bytes.
const MaxHead = 64 << 10

// Scan finds the end of a head (RFC 9112, section 2.1) and checks each byte of it. It
// looks at every byte once, however the head is cut. The zero value is ready.
type Scan struct {
	at   int // up to where all is checked
	line int // where the line begins that at is in
}

// End returns the length of the head at the beginning of b; 0, if the head is not whole
// yet. B begins with what the last call has seen. If programs may disagree on where the
// head ends, flaw says why.
func (s *Scan) End(b []byte) (length int, flaw string) {
	for s.at < len(b) {
		c := b[s.at]
		switch {
		case c >= ' ' && c != 0x7f || c == '\t':
			s.at++
		case c == '\r':
			if s.at+1 == len(b) {
				return 0, s.bound(len(b))
			}
			if b[s.at+1] != '\n' {
				return 0, FlawLineEnd
			}
			empty := s.at == s.line
			s.at += 2
			s.line = s.at
			if empty {
				return s.at, s.bound(s.at)
			}
		case c == '\n':
			return 0, FlawLineEnd
		default:
			return 0, FlawByte
		}
	}
	return 0, s.bound(len(b))
}

func (s *Scan) bound(n int) string {
	if n > MaxHead {
		return FlawLong
	}
	return ""
}

// IsToken says that s is a token: what a method and the name of a field are (RFC 9110,
// section 5.6.2).
func IsToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if !IsTokenByte(s[i]) {
			return false
		}
	}
	return len(s) > 0
}

// IsTokenByte says that a byte may be part of a token.
func IsTokenByte(c byte) bool {
	switch {
	case c|0x20 >= 'a' && c|0x20 <= 'z', isDigit(c):
		return true
	case c <= ' ' || c >= 0x7f:
		return false
	}
	switch c {
	case '"', '(', ')', ',', '/', ':', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}':
		return false
	}
	return true
}
