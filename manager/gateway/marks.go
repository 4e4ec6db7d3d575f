package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// Marks are what a gateway adds to a request, so that the conditions of an intercept
// hold. What conditions ask for takes the place of what the visitor sent under the same
// name. Further values of one name are further lines or members: none undoes another.
type Marks struct {
	headers, baggage, tracestate, cookies []mark
	// copies are headers that are also added as a member of baggage and as a cookie of the
	// same name: services that the intercepted one does not call itself get them only by
	// what their callers pass on. A member or cookie of that name that the request has is
	// the application's own, and stays alone.
	copies []mark
}

// mark is a name and its value. The name of a header is in canonical form.
type mark struct{ name, value string }

// The headers that consist of members. A condition on such a header is about a whole line.
const (
	baggage    = "Baggage"
	tracestate = "Tracestate"
	cookie     = "Cookie"
)

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
// have beside the others.
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
		if reason := m.put(c, value); reason != "" {
			return Marks{}, &ConditionError{c, reason}
		}
	}
	return m, nil
}

// put notes the mark of one condition. It returns why a preview cannot send it, if so.
func (m *Marks) put(c match.Condition, value string) string {
	one, to, valid := mark{c.Name, value}, (*[]mark)(nil), true
	switch c.Part {
	case match.Header:
		one.name, to = http.CanonicalHeaderKey(c.Name), &m.headers
		// Spaces around a value are not part of it (RFC 9110, section 5.5).
		valid = httpguts.ValidHeaderFieldValue(value) && strings.Trim(value, " \t") == value && !slices.Contains(fixed, one.name)
	case match.Baggage:
		to = &m.baggage
	case match.Tracestate:
		to, valid = &m.tracestate, isTraceValue(value)
	case match.Cookie:
		to, valid = &m.cookies, isCookieValue(value)
	}
	switch {
	case !valid:
		return "a preview cannot send that"
	case slices.Contains(*to, one):
		return ""
	}
	*to = append(*to, one)
	if c.Part == match.Header && one.name != baggage && one.name != tracestate && one.name != cookie && !secret(one.name) {
		m.copy(mark{c.Name, value})
	}
	return m.contradiction()
}

// copy notes a header for baggage and cookies, unless there is another value of it.
func (m *Marks) copy(x mark) {
	if !slices.ContainsFunc(m.copies, func(y mark) bool { return strings.EqualFold(x.name, y.name) }) {
		m.copies = append(m.copies, x)
	}
}

// contradiction says why no request can have all marks; "" if one can.
func (m *Marks) contradiction() string {
	if lines := m.lines(cookie); len(lines) > 0 && len(lines)+len(m.cookies) > 1 {
		return "a request has one line of cookies, and another condition is about that line: use cookie:NAME for each cookie"
	}
	keys := namesOf(members(m.lines(tracestate)))
	for _, x := range m.tracestate {
		keys = append(keys, x.name)
	}
	slices.Sort(keys)
	if len(slices.Compact(slices.Clone(keys))) < len(keys) {
		return "tracestate has each key once, and another condition is about the same key"
	}
	return ""
}

// lines are the lines that conditions ask for of a header.
func (m *Marks) lines(header string) []string {
	var lines []string
	for _, x := range m.headers {
		if x.name == header {
			lines = append(lines, x.value)
		}
	}
	return lines
}

// fixed are headers that are about the connection, that the ingress routes by, or by which
// a gateway notices that it leads to itself.
var fixed = []string{"Host", "Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Cdn-Loop"}

// secret says whether a header may have a credential in it, by its name. Programs write
// baggage and cookies into logs, and send baggage to other companies' services.
func secret(header string) bool {
	header = strings.ToLower(header)
	return slices.ContainsFunc([]string{"auth", "cookie", "credential", "token", "secret", "passw", "session", "jwt", "csrf", "xsrf", "signature", "apikey", "-key"},
		func(part string) bool { return strings.Contains(header, part) })
}

// add puts the marks into the header of a request.
func (m *Marks) add(h http.Header) {
	for _, x := range m.headers {
		if x.name != baggage && x.name != tracestate {
			h[x.name] = nil
		}
	}
	for _, x := range m.headers {
		if x.name != baggage && x.name != tracestate {
			h.Add(x.name, x.value)
		}
	}
	if len(m.baggage)+len(m.copies)+len(m.lines(baggage)) > 0 {
		m.addBaggage(h)
	}
	if len(m.tracestate)+len(m.lines(tracestate)) > 0 {
		m.addTracestate(h)
	}
	if len(m.cookies)+len(m.copies) > 0 && len(m.lines(cookie)) == 0 {
		m.addCookies(h)
	}
}

// addBaggage adds members, and lines of their own (W3C Baggage, section 3.3).
func (m *Marks) addBaggage(h http.Header) {
	lines := m.lines(baggage)
	wanted := members(lines)
	var own []string
	for _, x := range m.baggage {
		own = append(own, x.name+"="+baggageValue(x.value))
	}
	list := append(without(members(h[baggage]), namesOf(slices.Concat(wanted, own))), own...)
	for _, x := range m.copies {
		if have := namesOf(slices.Concat(wanted, list)); !slices.Contains(have, x.name) {
			list = append(list, x.name+"="+baggageValue(x.value))
		}
	}
	set(h, baggage, list, ",", lines)
}

// addTracestate adds members in front, as whoever changes the header does, and lines of
// their own (W3C Trace Context, section 3.3.1).
func (m *Marks) addTracestate(h http.Header) {
	lines := m.lines(tracestate)
	var own []string
	for _, x := range m.tracestate {
		own = append(own, x.name+"="+x.value)
	}
	theirs := without(members(h[tracestate]), namesOf(slices.Concat(members(lines), own)))
	set(h, tracestate, append(own, theirs...), ",", lines)
}

func (m *Marks) addCookies(h http.Header) {
	var own []string
	for _, x := range m.cookies {
		own = append(own, x.name+"="+x.value)
	}
	pairs := append(without(cookies(h), namesOf(own)), own...)
	for _, x := range m.copies {
		if isCookieValue(x.value) && !slices.Contains(namesOf(pairs), x.name) {
			pairs = append(pairs, x.name+"="+x.value)
		}
	}
	set(h, cookie, pairs, "; ", nil)
}

// set makes a header one line of pairs, and further lines.
func set(h http.Header, name string, pairs []string, separator string, lines []string) {
	if len(pairs) > 0 {
		lines = slices.Insert(lines, 0, strings.Join(pairs, separator))
	}
	if len(lines) > 0 {
		h[name] = lines
	}
}
