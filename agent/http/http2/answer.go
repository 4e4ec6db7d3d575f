package http2

import (
	"strconv"
	"strings"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// onAnswer passes on a header block of a target: an interim answer, the head of the final
// one, or its trailers.
func (l *leg) onAnswer(b *block) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.target.Moved(0, b.bytes)
	e := l.streams[b.id]
	switch {
	case e == nil && l.idle(b.id):
		return &fault{framing.ErrCodeProtocol, "an answer without a request"}
	case e == nil:
		return nil
	case e.x.answered:
		return e.onTrailers(b)
	case e.got:
		return e.x.abort(e, framing.ErrCodeStreamClosed)
	case b.large:
		return e.x.abort(e, framing.ErrCodeCancel)
	}
	x := e.x
	e.got = b.over
	var mark http.Field
	if b.over || !interim(b.fields) {
		x.answered, mark = true, l.target.Mark()
		x.drop()
	}
	if to := &x.caller; !to.closed {
		to.over = b.over
		to.leg.putHeaders(to, b.fields, mark, b.over)
		to.settle()
	}
	e.settle()
	return nil
}

// interim says that another answer follows (RFC 9110, 15.2).
func interim(fields []hpack.HeaderField) bool {
	for _, f := range fields {
		if f.Name == ":status" {
			return len(f.Value) == 3 && f.Value[0] == '1'
		}
	}
	return false
}

// answer answers a request in its target's place.
func (x *exchange) answer(a *http.Answer) {
	x.target.part()
	x.answered = true
	x.drop()
	e := &x.caller
	e.reset, e.code = true, framing.ErrCodeNo // the rest of the request is not wanted
	fields, body := []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(a.Status)}}, a.Body
	if x.kind.grpc {
		fields = append(fields[:0], hpack.HeaderField{Name: ":status", Value: "200"},
			hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
		fields, body = append(fields, statusOf(a.GRPC, body)...), ""
	} else {
		fields = append(fields, hpack.HeaderField{Name: "content-type", Value: "text/plain; charset=utf-8"},
			hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(len(body))})
	}
	for _, f := range a.Fields {
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(f.Name), Value: f.Value})
	}
	if x.kind.head {
		body = ""
	}
	e.over = body == ""
	e.leg.putHeaders(e, fields, http.Field{}, e.over)
	if body != "" {
		e.send([]byte(body), true)
	}
	e.settle()
}

// statusOf is a status of gRPC, as the fields that end an answer.
func statusOf(code int, message string) []hpack.HeaderField {
	return []hpack.HeaderField{{Name: "grpc-status", Value: strconv.Itoa(code)}, {Name: "grpc-message", Value: percent(message)}}
}

// percent encodes the message of a status as gRPC's protocol for HTTP/2 says: all that is
// not printable ASCII, and the percent sign itself.
func percent(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
