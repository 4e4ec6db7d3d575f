// Package corpus holds what callers send to HTTP/1 servers over one connection: requests
// as they should be, and as they should not. The cases are described from RFC 9110, RFC
// 9112 and the ways of request smuggling that are known.
package corpus

import (
	"fmt"
	"strings"
)

// Stream is what a caller sends over one connection.
type Stream struct {
	Name string
	// Why is what the stream is in the corpus for.
	Why string
	// text is what is sent, with marks between its steps.
	text string
}

// Step is one thing that a caller does. Exactly one field is set.
type Step struct {
	// Send is written at once. The next step begins when the server's kernel has it.
	Send string
	// Await is a text that the caller waits for in the answer, after what it awaited
	// before.
	Await string
	// End says that the caller sends no more.
	End bool
}

// Marks in the text of a stream. They are of Unicode's private use, in UTF-8, and no
// stream sends them.
const (
	cut    = "\ue000" // the next bytes are sent apart from those before
	await  = "\ue001" // what follows up to awaits is awaited
	awaits = "\ue002"
	end    = "\ue003"
)

// after awaits a text.
func after(text string) string { return await + text + awaits }

// Steps returns what a caller of the stream does.
func (s Stream) Steps() []Step {
	var steps []Step
	send := func(text string) {
		for part := range strings.SplitSeq(text, cut) {
			if part != "" {
				steps = append(steps, Step{Send: part})
			}
		}
	}
	rest := s.text
	for {
		at := strings.IndexAny(rest, await+end)
		if at < 0 {
			send(rest)
			return steps
		}
		send(rest[:at])
		if strings.HasPrefix(rest[at:], end) {
			steps = append(steps, Step{End: true})
			rest = rest[at+len(end):]
			continue
		}
		text, more, _ := strings.Cut(rest[at+len(await):], awaits)
		steps = append(steps, Step{Await: text})
		rest = more
	}
}

// Sent returns all that a caller of the stream sends.
func (s Stream) Sent() string {
	var b strings.Builder
	for _, step := range s.Steps() {
		b.WriteString(step.Send)
	}
	return b.String()
}

// Good returns streams that a server should serve to their end, or refuse for reasons of
// its own, such as an unknown method.
func Good() []Stream {
	return join(methods(), heads(), lengths(), chunks(), pipelines(), connections(), switches(), answers())
}

// Bad returns streams that break the rules of HTTP/1, or are no HTTP/1 at all.
func Bad() []Stream {
	return join(lines(), fields(), doubts(), smuggling(), badChunks(), foreign())
}

func join(tables ...[]Stream) []Stream {
	var all []Stream
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

// get is a request for a path, with further header lines.
func get(path string, fields ...string) string { return request("GET", path, "", fields...) }

// post is a request with a body of known length.
func post(path, body string, fields ...string) string {
	return request("POST", path, body, append(fields, fmt.Sprintf("Content-Length: %d", len(body)))...)
}

// chunked is a request whose body is in chunks, as they are sent.
func chunked(body string, fields ...string) string {
	return request("POST", "/echo", body, append(fields, "Transfer-Encoding: chunked")...)
}

func request(method, target, body string, fields ...string) string {
	return method + " " + target + " HTTP/1.1\r\n" + head(append([]string{"Host: app"}, fields...)...) + body
}

// head is header lines with the empty line after them.
func head(fields ...string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n"
}

// pieces cuts a text into pieces of a size.
func pieces(text string, size int) string {
	var b strings.Builder
	for len(text) > size {
		b.WriteString(text[:size] + cut)
		text = text[size:]
	}
	return b.String() + text
}
