package http2

import (
	"strings"

	framing "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// maxWeight bounds the header fields of all requests that were not answered yet.
const maxWeight = 4 << 20

// onRequest follows a header block of the caller: a request, or the trailers of one.
func (s *session) onRequest(b *block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.caller
	if e := l.streams[b.id]; e != nil {
		return e.onTrailers(b)
	}
	switch {
	case b.id%2 == 0:
		return &fault{framing.ErrCodeProtocol, "a request on a stream with an even number"}
	case b.id <= l.lastID && b.over:
		return l.bear() // trailers, sent before the caller knew that the stream has ended
	case b.id <= l.lastID:
		return &fault{framing.ErrCodeStreamClosed, "a request on a stream that was used before"}
	}
	l.lastID = b.id
	if len(l.streams) >= maxRequests || s.weight > maxWeight {
		l.putUint32(framing.FrameRSTStream, b.id, uint32(framing.ErrCodeRefusedStream))
		return l.bear()
	}
	x := s.newExchange(b)
	if b.large {
		x.kind, _ = inspect(x.fields)
		s.place(x, http.Decision{Answer: &http.Answer{Status: 431, GRPC: 8, Body: "The header fields of the request are too large."}})
		return nil
	}
	s.mu.Unlock()
	d := s.decide(x, &s.question)
	s.mu.Lock()
	s.place(x, d)
	return nil
}

// decide asks what becomes of a request. One that is malformed is the application's.
func (s *session) decide(x *exchange, q *question) http.Decision {
	var ok bool
	if x.copier != nil {
		return http.Decision{} // it goes nowhere else
	}
	if x.kind, ok = inspect(x.fields); !ok {
		return http.Decision{To: s.sw.Application()}
	}
	if x.tries > 0 {
		return s.sw.DecideAgain(q.ask(x.fields))
	}
	return s.sw.Decide(q.ask(x.fields))
}

// onTrailers passes on the header block after a body.
func (e *end) onTrailers(b *block) error {
	to := e.other()
	switch {
	case e.got:
		return e.x.abort(e, framing.ErrCodeStreamClosed)
	case !b.over || b.large:
		return e.x.abort(e, framing.ErrCodeProtocol)
	default:
		e.got = true
		trailers := append(make([]hpack.HeaderField, 0, len(b.fields)), b.fields...)
		if !to.closed && !to.sent {
			to.trailers, to.over = trailers, true
			to.schedule()
		}
		if e == &e.x.caller {
			e.x.toCopies(nil, true, trailers)
		}
		e.settle()
	}
	return nil
}

// question is a request as conditions read it. Its memory is used again.
type question struct {
	match.Request
	memory []byte
}

// keep copies a string to the memory.
func (q *question) keep(s ...string) []byte {
	start := len(q.memory)
	for _, s := range s {
		q.memory = append(q.memory, s...)
	}
	return q.memory[start:len(q.memory):len(q.memory)]
}

// ask fills in the request that begins with fields. The authority is there as the field
// "host", and the pieces of a cookie are one field (RFC 9113, 8.2.3).
func (q *question) ask(fields []hpack.HeaderField) *match.Request {
	q.memory = q.memory[:0]
	q.Request = match.Request{Fields: q.Fields[:0]}
	cookies := false
	for i, f := range fields {
		switch f.Name {
		case ":method":
			q.Method = q.keep(f.Value)
		case ":path":
			path, query, _ := strings.Cut(f.Value, "?")
			q.Path, q.Query = q.keep(path), q.keep(query)
		case ":authority":
			if !has(fields, "host") {
				q.Fields = append(q.Fields, match.Field{Name: q.keep("host"), Value: q.keep(f.Value)})
			}
		case ":scheme", ":protocol":
		case "cookie":
			if !cookies {
				cookies = true
				q.Fields = append(q.Fields, match.Field{Name: q.keep(f.Name), Value: q.cookies(fields[i:])})
			}
		default:
			q.Fields = append(q.Fields, match.Field{Name: q.keep(f.Name), Value: q.keep(f.Value)})
		}
	}
	return &q.Request
}

// cookies joins the pieces of a cookie, the first of which fields begin with. It copies each
// once, since there can be tens of thousands.
func (q *question) cookies(fields []hpack.HeaderField) []byte {
	start := len(q.memory)
	for i := range fields {
		if f := &fields[i]; f.Name == "cookie" {
			if i > 0 {
				q.memory = append(q.memory, "; "...)
			}
			q.memory = append(q.memory, f.Value...)
		}
	}
	return q.memory[start:len(q.memory):len(q.memory)]
}

func has(fields []hpack.HeaderField, name string) bool {
	for i := range fields {
		if fields[i].Name == name {
			return true
		}
	}
	return false
}
