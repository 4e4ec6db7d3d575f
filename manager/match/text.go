package match

import (
	"strconv"
	"strings"
)

// String is the name of the part as conditions spell it.
func (p Part) String() string {
	switch p {
	case Header:
		return "header"
	case Baggage:
		return "baggage"
	case Tracestate:
		return "tracestate"
	case Cookie:
		return "cookie"
	case Query:
		return "query"
	case Path:
		return "path"
	case Method:
		return "method"
	}
	return "part " + strconv.Itoa(int(p))
}

// Named reports whether conditions on the part have a name.
func (p Part) Named() bool { return p != Path && p != Method }

// String is the condition for people: header("x-user") ~= regexp("louise"),
// path prefix "/api", method == "GET".
func (c Condition) String() string {
	subject := c.Part.String()
	if c.Part.Named() {
		subject += "(" + quote(c.Name) + ")"
	}
	switch c.Op {
	case Regexp:
		return subject + " ~= regexp(" + quote(c.Value) + ")"
	case Prefix:
		return subject + " prefix " + quote(c.Value)
	}
	return subject + " == " + quote(c.Value)
}

// String is the conditions in one line.
func (all Conditions) String() string {
	if len(all) == 0 {
		return "every HTTP request"
	}
	lines := make([]string, len(all))
	for i, c := range all {
		lines[i] = c.String()
	}
	return strings.Join(lines, " and ")
}

// quote quotes a text so that the backslashes of expressions are not doubled.
func quote(s string) string {
	q := strconv.Quote(s)
	if len(q) != len(s)+2 && strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return q
}
