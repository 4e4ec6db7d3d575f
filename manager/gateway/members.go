package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// members are the entries of a header that is a list with commas, such as baggage. The
// list may be on several lines.
func members(lines []string) []string {
	var all []string
	for entry := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}

// without returns the pairs "name=value" whose names are none of these.
func without(pairs, names []string) []string {
	return slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool { return slices.Contains(names, nameOf(pair)) })
}

// nameOf is the name of a pair "name=value".
func nameOf(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimSpace(name)
}

func namesOf(pairs []string) []string {
	names := make([]string, 0, len(pairs))
	for _, pair := range pairs {
		names = append(names, nameOf(pair))
	}
	return names
}

// cookies are the pairs "name=value" of a request, as the visitor sent them.
func cookies(h http.Header) []string {
	var pairs []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = strings.TrimSpace(pair); pair != "" {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs
}

// removeCookies takes cookies out of the header of a request.
func removeCookies(h http.Header, names []string) {
	all := cookies(h)
	kept := without(all, names)
	switch len(kept) {
	case len(all):
	case 0:
		h.Del("Cookie")
	default:
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// baggageValue percent-encodes what is not a baggage-octet (W3C Baggage, section 3.3.1).
func baggageValue(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c == '%' || !isOctet(c) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isOctet says whether a byte may be in a value of baggage and of a cookie (RFC 6265,
// section 4.1.1), which have the same set.
func isOctet(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`",;\`, rune(c))
}

func isCookieValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r >= 0x7f || !isOctet(byte(r)) })
}

// isTraceValue says whether tracestate can have a value (W3C Trace Context, section
// 3.3.1.3.2).
func isTraceValue(value string) bool {
	return value != "" && !strings.HasSuffix(value, " ") &&
		!strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f || r == ',' || r == '=' })
}
