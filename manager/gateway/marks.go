package gateway

import (
	"fmt"
	"net/http"
	"regexp/syntax"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// Marks are what a gateway adds to a request, so that the conditions of an intercept
// hold. The value of a header is also added as a member of baggage and as a cookie of the
// same name: services that the intercepted one does not call itself get it only by what
// their callers pass on.
type Marks struct {
	headers, baggage, tracestate, cookies []mark
}

// mark is a name and its value.
type mark struct{ name, value string }

// ConditionError says that a gateway cannot make a condition hold.
type ConditionError struct {
	match.Condition
	Reason string
}

// Error names the condition.
func (e *ConditionError) Error() string {
	kind := map[match.Part]string{match.Header: "header", match.Baggage: "baggage member", match.Tracestate: "tracestate member", match.Cookie: "cookie"}[e.Part]
	return fmt.Sprintf("a preview cannot match the %s %s=%s: %s", kind, e.Name, e.Value, e.Reason)
}

// MarksOf returns the marks for which all conditions hold. Path, method and query are the
// visitor's: conditions on them hold for some of the requests. It returns a
// ConditionError if a condition allows more than one value, or one that a request cannot
// have.
func MarksOf(conditions match.Conditions) (Marks, error) {
	var m Marks
	for _, c := range conditions {
		if c.Part == match.Path || c.Part == match.Method || c.Part == match.Query {
			continue
		}
		value, ok := c.Value, true
		if c.Op == match.Regexp {
			value, ok = literal(c.Value)
		}
		if !ok {
			return Marks{}, &ConditionError{c, "the expression has to be one fixed value, so that the preview can send it"}
		}
		if err := m.put(c, value); err != nil {
			return Marks{}, err
		}
	}
	return m, nil
}

// put notes the mark of one condition.
func (m *Marks) put(c match.Condition, value string) error {
	one := mark{c.Name, value}
	valid := true
	switch c.Part {
	case match.Header:
		valid = httpguts.ValidHeaderFieldValue(value) && !slices.ContainsFunc(fixed, func(f string) bool { return strings.EqualFold(f, c.Name) })
		m.headers = append(m.headers, one)
		m.baggage = append(m.baggage, one)
		if isCookieValue(value) {
			m.cookies = append(m.cookies, one)
		}
	case match.Baggage:
		m.baggage = append(m.baggage, one)
	case match.Tracestate:
		valid = isTraceValue(value)
		m.tracestate = append(m.tracestate, one)
	case match.Cookie:
		valid = isCookieValue(value)
		m.cookies = append(m.cookies, one)
	}
	if !valid {
		return &ConditionError{c, "a preview cannot send that"}
	}
	return nil
}

// fixed are headers that are about the connection, or that the ingress routes by.
var fixed = []string{"Host", "Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// add puts the marks into the header of a request, in place of what has their names.
func (m *Marks) add(h http.Header) {
	for _, x := range m.headers {
		h.Set(x.name, x.value)
	}
	if len(m.baggage) > 0 {
		addMembers(h, "Baggage", m.baggage, func(x mark) string { return x.name + "=" + baggageValue(x.value) }, false)
	}
	if len(m.tracestate) > 0 {
		addMembers(h, "Tracestate", m.tracestate, func(x mark) string { return x.name + "=" + x.value }, true)
	}
	if len(m.cookies) > 0 {
		names := make([]string, 0, len(m.cookies))
		for _, x := range m.cookies {
			names = append(names, x.name)
		}
		removeCookies(h, names)
		pairs := cookies(h)
		for _, x := range m.cookies {
			pairs = append(pairs, x.name+"="+x.value)
		}
		h.Set("Cookie", strings.Join(pairs, "; "))
	}
}

// addMembers adds members to a list of "key=value" with commas, which may be on several
// lines, in place of members with their keys.
func addMembers(h http.Header, name string, add []mark, text func(mark) string, first bool) {
	var before, added []string
	for member := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
		key, _, _ := strings.Cut(member, "=")
		key = strings.TrimSpace(key)
		if key != "" && !slices.ContainsFunc(add, func(x mark) bool { return x.name == key }) {
			before = append(before, strings.TrimSpace(member))
		}
	}
	for _, x := range add {
		added = append(added, text(x))
	}
	if first {
		before, added = added, before
	}
	h.Set(name, strings.Join(append(before, added...), ","))
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
	kept := slices.DeleteFunc(slices.Clone(all), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(names, strings.TrimSpace(name))
	})
	switch len(kept) {
	case len(all):
	case 0:
		h.Del("Cookie")
	default:
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// literal returns the only text that an expression matches, if there is only one but for
// its case.
func literal(expression string) (string, bool) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return "", false
	}
	return literalOf(re.Simplify())
}

func literalOf(re *syntax.Regexp) (string, bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune), true
	case syntax.OpEmptyMatch, syntax.OpBeginText, syntax.OpEndText:
		return "", true
	case syntax.OpCapture:
		return literalOf(re.Sub[0])
	case syntax.OpConcat:
		var all strings.Builder
		for _, sub := range re.Sub {
			text, ok := literalOf(sub)
			if !ok {
				return "", false
			}
			all.WriteString(text)
		}
		return all.String(), true
	}
	return "", false
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
