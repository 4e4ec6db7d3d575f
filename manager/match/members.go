package match

import "bytes"

const (
	// maxBaggageMembers and maxBaggageBytes are how much of baggage is read. W3C Baggage
	// has programs pass on 64 members and 8192 bytes at least.
	maxBaggageMembers, maxBaggageBytes = 256, 16 << 10
	// maxTraceMembers is how many members tracestate can have (W3C Trace Context, section
	// 3.3.1.1). Its length has no limit there.
	maxTraceMembers, maxTraceBytes = 32, 16 << 10
)

// take cuts the next member off a line of a list. There are no more at the end of the line,
// and once the budget is spent.
func (b *budget) take(line []byte) (member, rest []byte, more bool) {
	if len(line) == 0 || b.members == 0 {
		return nil, nil, false
	}
	member, rest, _ = bytes.Cut(line, []byte{','})
	b.members--
	b.bytes -= len(member) + 1
	return bytes.Trim(member, space), rest, b.bytes >= 0
}

// readBaggage reads one line of the header "baggage" (W3C Baggage, section 3.3). A member
// that is malformed is left out.
func readBaggage(line []byte, names map[string]int, to *scratch) {
	for member, rest, more := to.baggage.take(line); more; member, rest, more = to.baggage.take(rest) {
		member, _, _ = bytes.Cut(member, []byte{';'}) // properties follow
		key, value, has := bytes.Cut(member, []byte{'='})
		if n, wanted := names[string(bytes.Trim(key, space))]; wanted && has {
			to.add(n, to.decode(bytes.Trim(value, space), false))
		}
	}
}

// readTracestate reads one line of the header "tracestate" (W3C Trace Context, section
// 3.3).
func readTracestate(line []byte, names map[string]int, to *scratch) {
	for member, rest, more := to.states.take(line); more; member, rest, more = to.states.take(rest) {
		key, value, has := bytes.Cut(member, []byte{'='})
		if n, wanted := names[string(key)]; wanted && has {
			to.add(n, value)
		}
	}
}

// readCookies reads one line of the header "cookie" (RFC 6265, section 4.2.1). Quotes
// around a value are not part of it, as most servers see it. HTTP/2 may have a line for
// each cookie (RFC 9113, section 8.2.3).
func readCookies(line []byte, names map[string]int, to *scratch) {
	for len(line) > 0 {
		var pair []byte
		pair, line, _ = bytes.Cut(line, []byte{';'})
		name, value, has := bytes.Cut(pair, []byte{'='})
		n, wanted := names[string(bytes.Trim(name, space))]
		if !wanted || !has {
			continue
		}
		value = bytes.Trim(value, space)
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		to.add(n, value)
	}
}

// readQuery reads the query as forms are encoded (WHATWG URL, section 5.1).
func readQuery(query []byte, names map[string]int, to *scratch) {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if n, wanted := names[string(to.decode(name, true))]; wanted && len(pair) > 0 {
			to.add(n, to.decode(value, true))
		}
	}
}

// decode decodes percent-encoding (RFC 3986, section 2.1), and plus signs to spaces if
// asked. A percent sign that no two digits follow stands for itself.
func (s *scratch) decode(text []byte, plus bool) []byte {
	if bytes.IndexByte(text, '%') < 0 && (!plus || bytes.IndexByte(text, '+') < 0) {
		return text
	}
	begin := len(s.decoded)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '+' && plus:
			c = ' '
		case c == '%' && i+2 < len(text):
			high, low := digit(text[i+1]), digit(text[i+2])
			if high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		s.decoded = append(s.decoded, c)
	}
	return s.decoded[begin:len(s.decoded):len(s.decoded)]
}

// digit is the value of a hexadecimal digit; -1 for any other character.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
