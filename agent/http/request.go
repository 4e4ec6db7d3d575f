// Package http is the agent's only HTTP parser: it reads the request that a
// connection begins with, of HTTP/1 or HTTP/2, and serves nobody.
package http

import (
	"bytes"
	"net/textproto"
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

// Header is one header of a request, its name in canonical form.
type Header struct{ Name, Value string }

// Head is the beginning of a request.
type Head struct {
	Method, Target string
	// Headers are those that have arrived, in their order.
	Headers []Header
	// Complete says that there are no more.
	Complete bool
}

// Values are those of the headers of a name, which is canonical.
func (h *Head) Values(name string) []string {
	var list []string
	for _, header := range h.Headers {
		if header.Name == name {
			list = append(list, header.Value)
		}
	}
	return list
}

// ParseRequest reads the head of an HTTP/1 request at the beginning of b. It
// returns a Head once the request line has arrived.
func ParseRequest(b []byte) (*Head, Progress) {
	line, rest, whole := bytes.Cut(b, []byte("\r\n"))
	if !whole {
		return nil, Partial
	}
	method, line, _ := bytes.Cut(line, []byte(" "))
	target, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok {
		if target, ok = bytes.CutSuffix(line, []byte(" HTTP/1.0")); !ok {
			return nil, NoRequest
		}
	}
	h := &Head{Method: string(method), Target: string(target)}
	for {
		if line, rest, whole = bytes.Cut(rest, []byte("\r\n")); !whole {
			return h, Request
		}
		if len(line) == 0 {
			h.Complete = true
			return h, Request
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		h.Headers = append(h.Headers, Header{textproto.CanonicalMIMEHeaderKey(string(name)), string(bytes.TrimSpace(value))})
	}
}
