package http1

import (
	"bytes"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// Why the end of a message is not told.
const (
	flawLength  = "a Content-Length that is not one plain number"
	flawCoding  = "a Transfer-Encoding that is not plainly chunked"
	flawBoth    = "both Content-Length and Transfer-Encoding"
	flawNoBody  = "a body where there must not be one"
	flawUnasked = "101 to a request without Upgrade"
	flawConnect = "CONNECT with a body"
)

// message is what the header says of how a message passes.
type message struct {
	body body
	// last says that no other message follows.
	last bool
	// switches says that the connection may be no HTTP after it.
	switches bool
	// upgrade says that a request asks for another protocol.
	upgrade bool
	// expects says that the caller may wait for the response before it sends the body.
	expects bool
}

// request tells how a request passes (RFC 9112, section 6.3).
func request(h *http.Head) (m message, flaw string) {
	f := readFields(h)
	if h.Flaw != "" {
		f.flaw = h.Flaw
	}
	connect := string(h.Method) == "CONNECT"
	switch {
	case f.flaw != "":
		return m, f.flaw
	case connect && (f.chunked || f.length > 0):
		return m, flawConnect
	case f.chunked:
		m.body.kind = chunked
	case f.length > 0:
		m.body = body{kind: sized, left: f.length}
	}
	m.last = f.close || h.Old && !f.keepAlive
	m.switches, m.upgrade = connect || f.upgrade, f.upgrade
	m.expects = f.expect
	return m, ""
}

// response tells how a response passes to a request of x.
func response(h *http.Head, x *exchange) (m message, flaw string) {
	f := readFields(h)
	if h.Flaw != "" {
		f.flaw = h.Flaw
	}
	bodyless := h.Status < 200 || h.Status == 204
	switch {
	case f.flaw != "":
		return m, f.flaw
	case h.Status == 101 && !x.upgrade:
		return m, flawUnasked
	case h.Status == 101, x.connect && h.Status >= 200 && h.Status < 300:
		m.switches = true
		m.body.kind = toEnd
		return m, ""
	case bodyless && (f.chunked || f.length > 0):
		return m, flawNoBody
	case bodyless, x.head, h.Status == 304:
	case f.chunked:
		m.body.kind = chunked
	case f.length >= 0:
		m.body = body{kind: sized, left: f.length}
	default:
		m.body.kind = toEnd
	}
	m.last = h.Status >= 200 && (f.close || h.Old && !f.keepAlive || x.last || m.body.kind == toEnd)
	return m, ""
}

// fields are those that framing depends on.
type fields struct {
	length                                     int64 // -1: none
	chunked, close, keepAlive, upgrade, expect bool
	flaw                                       string
}

func readFields(h *http.Head) fields {
	f := fields{length: -1}
	lengths, codings := 0, 0
	for i := range h.Fields {
		name, value := h.Fields[i].Name, h.Fields[i].Value
		switch len(name) {
		case len("Content-Length"):
			if http.EqualFold(name, "content-length") {
				lengths++
				f.length = parseLength(value)
			}
		case len("Transfer-Encoding"):
			if http.EqualFold(name, "transfer-encoding") {
				codings++
				f.chunked = string(value) == "chunked"
			}
		case len("Connection"):
			if http.EqualFold(name, "connection") {
				f.connection(value)
			}
		case len("Upgrade"):
			f.upgrade = f.upgrade || http.EqualFold(name, "upgrade")
		case len("Expect"):
			f.expect = f.expect || http.EqualFold(name, "expect")
		}
	}
	switch {
	case lengths > 0 && codings > 0:
		f.flaw = flawBoth
	case lengths > 1 || lengths == 1 && f.length < 0:
		f.flaw = flawLength
	case codings > 1 || codings == 1 && (!f.chunked || h.Old):
		f.flaw = flawCoding
	}
	return f
}

// connection reads a list of connection options (RFC 9110, section 7.6.1).
func (f *fields) connection(list []byte) {
	for len(list) > 0 {
		var option []byte
		option, list, _ = bytes.Cut(list, []byte(","))
		option = bytes.Trim(option, " \t")
		f.close = f.close || http.EqualFold(option, "close")
		f.keepAlive = f.keepAlive || http.EqualFold(option, "keep-alive")
	}
}

// parseLength reads a Content-Length. It is -1 if the value is not a plain number: some
// programs take a sign, others read a leading zero as octal.
func parseLength(b []byte) int64 {
	const maxDigits = 18
	if len(b) == 0 || len(b) > maxDigits || b[0] == '0' && len(b) > 1 {
		return -1
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
