package http1

import (
	"bytes"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// flawCut is a head that the end of the connection cuts.
const flawCut = "the connection ends within a head"

// flawSlow is a head of which the rest does not come.
const flawSlow = "a head that takes too long"

// readHead waits until a head is whole, and returns its size. Flaw says why it is not
// told apart. Begins finds a flaw in the first bytes of a head, so that what is no HTTP
// does not wait for more. Waits, if not nil, is called before each wait.
func readHead(in *input, begins func([]byte) (flaw string), waits func()) (size int, flaw string, err error) {
	var s http.Scan
	for {
		if size, flaw = s.End(in.bytes()); size > 0 || flaw != "" {
			return size, flaw, nil
		}
		if flaw = begins(in.bytes()); flaw != "" {
			return 0, flaw, nil
		}
		if waits != nil {
			waits()
		}
		if err := in.fill(); err != nil {
			return 0, "", err
		}
	}
}

// requestLine finds a flaw in the first line of a request.
func requestLine(b []byte) (flaw string) {
	line, _, whole := bytes.Cut(b, []byte("\r\n"))
	if !whole {
		return ""
	}
	var h http.Head
	if h.ParseRequest(b[:len(line)+2]) != http.Request {
		return http.FlawLine
	}
	return h.Flaw
}

// statusLine finds a flaw in the first bytes of a response.
func statusLine(b []byte) (flaw string) {
	const begin = "HTTP/1."
	if n := min(len(b), len(begin)); string(b[:n]) != begin[:n] {
		return http.FlawLine
	}
	line, _, whole := bytes.Cut(b, []byte("\r\n"))
	if !whole {
		return ""
	}
	var h http.Head
	h.ParseResponse(b[:len(line)+2])
	return h.Flaw
}
