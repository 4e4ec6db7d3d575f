// Package http is the agent's only HTTP parser, and says what becomes of requests: it reads
// the heads of HTTP/1, and what a connection begins with, and serves nobody.
package http

import (
	"bytes"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// Progress is how much is known after the first bytes of a connection.
type Progress int

const (
	// Partial: it may be a request, and more bytes will tell.
	Partial Progress = iota
	// Request: it is a request.
	Request
	// NoRequest: it is something else.
	NoRequest
)

// Head is the head of a message of HTTP/1, or as much of it as has arrived. It refers to
// the bytes that it was read from, and can be used again. The first request of HTTP/2 has
// a Head, too.
type Head struct {
	// Method and Target are those of a request.
	Method, Target []byte
	// Status is that of a response.
	Status int
	// Old says that the version is HTTP/1.0; otherwise it is HTTP/1.1.
	Old bool
	// Fields are the header fields that have arrived, in their order. The whitespace
	// around values is not part of them, and a folded value is on one line.
	Fields []match.Field
	// Complete says that there are no more.
	Complete bool
	// Flaw says why programs may disagree on what the head means. It is empty if they
	// do not.
	Flaw string
}

// ParseRequest reads the head of a request at the beginning of b. It is Partial until the
// request line has arrived.
func (h *Head) ParseRequest(b []byte) Progress {
	h.Reset()
	line, rest, whole := bytes.Cut(b, []byte("\r\n"))
	if !whole {
		return Partial
	}
	method, line, _ := bytes.Cut(line, []byte(" "))
	target, version := cutLast(line)
	if !h.version(version) {
		return NoRequest
	}
	h.Method, h.Target = method, target
	if !IsToken(method) || len(target) == 0 || bytes.ContainsAny(target, " \t") {
		h.Flaw = FlawLine
	}
	h.parseFields(rest)
	return Request
}

// ParseResponse reads the head of a response, which b is.
func (h *Head) ParseResponse(b []byte) {
	h.Reset()
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	version, line, _ := bytes.Cut(line, []byte(" "))
	status, _, _ := bytes.Cut(line, []byte(" "))
	if !h.version(version) || len(status) != 3 {
		h.Flaw = FlawLine
		return
	}
	for _, c := range status {
		if !isDigit(c) {
			h.Flaw = FlawLine
			return
		}
		h.Status = h.Status*10 + int(c-'0')
	}
	if h.Status < 100 {
		h.Flaw = FlawLine
	}
	h.parseFields(rest)
}

// Reset forgets all, and refers to no bytes any more.
func (h *Head) Reset() {
	clear(h.Fields)
	*h = Head{Fields: h.Fields[:0]}
}

// Describe puts what conditions read of the request into r.
func (h *Head) Describe(r *match.Request) {
	r.Method, r.Fields = h.Method, h.Fields
	r.Path, r.Query, _ = bytes.Cut(h.Target, []byte("?"))
	if len(r.Path) == 0 || r.Path[0] == '/' {
		return
	}
	if _, rest, ok := bytes.Cut(r.Path, []byte("://")); ok { // the absolute form, with an authority
		if at := bytes.IndexByte(rest, '/'); at >= 0 {
			r.Path = rest[at:]
		} else {
			r.Path = []byte("/")
		}
	}
}

// Values are those of the fields of a name.
func (h *Head) Values(name string) []string {
	var list []string
	for _, f := range h.Fields {
		if EqualFold(f.Name, name) {
			list = append(list, string(f.Value))
		}
	}
	return list
}

func (h *Head) version(b []byte) bool {
	h.Old = string(b) == "HTTP/1.0"
	return h.Old || string(b) == "HTTP/1.1"
}

// whitespace is what may surround a value (RFC 9110, section 5.6.3).
const whitespace = " \t"

// cutLast cuts a line at its last space.
func cutLast(line []byte) (before, after []byte) {
	at := bytes.LastIndexByte(line, ' ')
	if at < 0 {
		return nil, nil
	}
	return line[:at], line[at+1:]
}

func (h *Head) parseFields(b []byte) {
	for {
		line, rest, whole := bytes.Cut(b, []byte("\r\n"))
		if !whole {
			return
		}
		if len(line) == 0 {
			h.Complete = true
			return
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !IsToken(name) {
			h.Flaw = FlawField
		}
		f := match.Field{Name: name, Value: bytes.Trim(value, whitespace)}
		if isFolded(rest) {
			f.Value, rest = h.unfold(f, rest)
		}
		h.Fields = append(h.Fields, f)
		b = rest
	}
}

// isFolded says that b begins with a line that goes on with the value before it (RFC 9112,
// section 5.2).
func isFolded(b []byte) bool { return len(b) > 0 && (b[0] == ' ' || b[0] == '\t') }

// unfold joins the folded lines at the beginning of b to the value of f, each with a
// space, as readers of the value do, and returns the rest of b. They are a flaw where
// framing depends on them: with a framing field, and where a reader that knows no folding
// sees one.
func (h *Head) unfold(f match.Field, b []byte) (value, rest []byte) {
	value = slices.Clone(f.Value)
	if Framing(f.Name) || len(value) == 0 {
		h.Flaw = FlawFold
	}
	for isFolded(b) {
		line, rest, whole := bytes.Cut(b, []byte("\r\n"))
		if !whole {
			break
		}
		line = bytes.Trim(line, whitespace)
		if name, _, _ := bytes.Cut(line, []byte(":")); Framing(bytes.Trim(name, whitespace)) {
			h.Flaw = FlawFold
		}
		value = append(append(value, ' '), line...)
		b = rest
	}
	return value, b
}

// Framing says that it depends on the field of this name where a message ends, or what
// follows it.
func Framing(name []byte) bool {
	switch len(name) {
	case len("Content-Length"):
		return EqualFold(name, "content-length")
	case len("Transfer-Encoding"):
		return EqualFold(name, "transfer-encoding")
	case len("Connection"):
		return EqualFold(name, "connection")
	case len("Upgrade"):
		return EqualFold(name, "upgrade")
	case len("Expect"):
		return EqualFold(name, "expect")
	}
	return false
}

// Idempotent says that a request of this method may be sent again without harm (RFC 9110,
// section 9.2.2).
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// EqualFold says that two names differ at most in the case of ASCII letters.
func EqualFold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(name[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}
