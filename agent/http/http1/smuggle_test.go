package http1

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// unclear are heads and bodies of which programs may disagree where they end. A second
// request for the laptop, which the last one hides, is part of each.
var unclear = []struct{ name, text, reason string }{
	{"two lengths", "POST /l HTTP/1.1|Content-Length: 0|Content-Length: 20||GET /l HTTP/1.1||", flawLength},
	{"two equal lengths", "POST /l HTTP/1.1|Content-Length: 0|content-length: 0||GET /l HTTP/1.1||", flawLength},
	{"a list of lengths", "POST /l HTTP/1.1|Content-Length: 0, 0||GET /l HTTP/1.1||", flawLength},
	{"a signed length", "POST /l HTTP/1.1|Content-Length: +5||helloGET /l HTTP/1.1||", flawLength},
	{"an octal length", "POST /l HTTP/1.1|Content-Length: 010||0123456789GET /l HTTP/1.1||", flawLength},
	{"a huge length", "POST /l HTTP/1.1|Content-Length: 18446744073709551616||GET /l HTTP/1.1||", flawLength},
	{"an empty length", "POST /l HTTP/1.1|Content-Length:||GET /l HTTP/1.1||", flawLength},
	{"a hexadecimal length", "POST /l HTTP/1.1|Content-Length: 0x1||aGET /l HTTP/1.1||", flawLength},
	{"length and coding", "POST /l HTTP/1.1|Content-Length: 4|Transfer-Encoding: chunked||0||GET /l HTTP/1.1||", flawBoth},
	{"two codings", "POST /l HTTP/1.1|Transfer-Encoding: chunked|Transfer-Encoding: identity||0||GET /l HTTP/1.1||", flawCoding},
	{"a list of codings", "POST /l HTTP/1.1|Transfer-Encoding: gzip, chunked||0||GET /l HTTP/1.1||", flawCoding},
	{"another coding", "POST /l HTTP/1.1|Transfer-Encoding: xchunked||0||GET /l HTTP/1.1||", flawCoding},
	{"a coding in quotes", "POST /l HTTP/1.1|Transfer-Encoding: \"chunked\"||0||GET /l HTTP/1.1||", flawCoding},
	{"a coding in capitals", "POST /l HTTP/1.1|Transfer-Encoding: Chunked||0||GET /l HTTP/1.1||", flawCoding},
	{"a coding with a parameter", "POST /l HTTP/1.1|Transfer-Encoding: chunked;q=1||0||GET /l HTTP/1.1||", flawCoding},
	{"a coding in HTTP/1.0", "POST /l HTTP/1.0|Connection: keep-alive|Transfer-Encoding: chunked||0||GET /l HTTP/1.1||", flawCoding},
	{"a space before the colon", "POST /l HTTP/1.1|Transfer-Encoding : chunked||0||GET /l HTTP/1.1||", "a header line without a proper name"},
	{"a tab before the colon", "POST /l HTTP/1.1|Content-Length\t: 4||0||GET /l HTTP/1.1||", "a header line without a proper name"},
	{"no colon", "POST /l HTTP/1.1|Transfer-Encoding||GET /l HTTP/1.1||", "a header line without a proper name"},
	{"no name", "POST /l HTTP/1.1|: x||GET /l HTTP/1.1||", "a header line without a proper name"},
	{"a vertical tab", "POST /l HTTP/1.1|Transfer-Encoding:\vchunked||0||GET /l HTTP/1.1||", "a control character"},
	{"a NUL", "POST /l HTTP/1.1|X: \x00||GET /l HTTP/1.1||", "a control character"},
	{"a DEL", "POST /l\x7f HTTP/1.1||GET /l HTTP/1.1||", "a control character"},
	{"a bare LF", "POST /l HTTP/1.1|X: y\nTransfer-Encoding: chunked||0||GET /l HTTP/1.1||", "a line does not end with CR LF"},
	{"only LF", "GET /l HTTP/1.1\nHost: a\n\nGET /l HTTP/1.1\n\n", "a line does not end with CR LF"},
	{"a bare CR", "POST /l HTTP/1.1|X: y\rContent-Length: 4||GET /l HTTP/1.1||", "a line does not end with CR LF"},
	{"an empty line first", "|GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"a folded length", "POST /l HTTP/1.1|Content-Length:| 4||0||GET /l HTTP/1.1||", "a folded line where framing depends on it"},
	{"a folded coding", "POST /l HTTP/1.1|Transfer-Encoding: x,|\tchunked||0||GET /l HTTP/1.1||", "a folded line where framing depends on it"},
	{"a coding in a fold", "POST /l HTTP/1.1|X: y| Transfer-Encoding: chunked||0||GET /l HTTP/1.1||", "a folded line where framing depends on it"},
	{"a fold at first", "POST /l HTTP/1.1| X: y||GET /l HTTP/1.1||", "a header line without a proper name"},
	{"a fold of nothing", "POST /l HTTP/1.1|X:| y||GET /l HTTP/1.1||", "a folded line where framing depends on it"},
	{"HTTP/0.9", "GET /l|GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"HTTP/1.2", "GET /l HTTP/1.2||GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"HTTP/2", "PRI * HTTP/2.0||SM||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"http/1.1", "GET /l http/1.1||GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"two spaces", "GET  /l HTTP/1.1||GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"a space in the target", "GET /l l HTTP/1.1||GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"a space at the end", "GET /l HTTP/1.1 ||GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"a method that is no token", "GE(T /l HTTP/1.1||GET /l HTTP/1.1||", "a first line that is not of HTTP/1.0 or 1.1"},
	{"CONNECT with a body", "CONNECT a:1 HTTP/1.1|Content-Length: 2||hi", flawConnect},
	{"a head that is too long", "GET /l HTTP/1.1|X: " + strings.Repeat("x", 64<<10) + "||GET /l HTTP/1.1||", "a head that is too long"},
	{"TLS", "\x16\x03\x01\x00\x05hello", "a control character"},

	{"a signed chunk size", "POST / HTTP/1.1|Transfer-Encoding: chunked||+0||GET /l HTTP/1.1||", flawChunkSize},
	{"a hexadecimal chunk size", "POST / HTTP/1.1|Transfer-Encoding: chunked||0x0||GET /l HTTP/1.1||", flawChunkSize},
	{"a space behind a chunk size", "POST / HTTP/1.1|Transfer-Encoding: chunked||0 ||GET /l HTTP/1.1||", flawChunkSize},
	{"a huge chunk size", "POST / HTTP/1.1|Transfer-Encoding: chunked||10000000000000000||GET /l HTTP/1.1||", flawChunkSize},
	{"no chunk size", "POST / HTTP/1.1|Transfer-Encoding: chunked|||GET /l HTTP/1.1||", flawChunkSize},
	{"LF behind a chunk size", "POST / HTTP/1.1|Transfer-Encoding: chunked||0\n\nGET /l HTTP/1.1||", flawChunkSize},
	{"LF in an extension", "POST / HTTP/1.1|Transfer-Encoding: chunked||2;\nxx|4c|0||GET /l HTTP/1.1||", flawChunkSize},
	{"a backslash in quotes", "POST / HTTP/1.1|Transfer-Encoding: chunked||0;x=\"y\\\"||GET /l HTTP/1.1||", flawChunkSize},
	{"CR in an extension", "POST / HTTP/1.1|Transfer-Encoding: chunked||0;\rx||GET /l HTTP/1.1||", flawChunkSize},
	{"a line end in quotes", "POST / HTTP/1.1|Transfer-Encoding: chunked||0;x=\"||GET /l HTTP/1.1||\"||", flawChunkSize},
	{"too long a chunk", "POST / HTTP/1.1|Transfer-Encoding: chunked||1|aa|0||GET /l HTTP/1.1||", flawChunkEnd},
	{"LF behind a chunk", "POST / HTTP/1.1|Transfer-Encoding: chunked||1|a\n0||GET /l HTTP/1.1||", flawChunkEnd},
	{"LF in the trailers", "POST / HTTP/1.1|Transfer-Encoding: chunked||0|X: y\n\nGET /l HTTP/1.1||", flawTrailer},
	{"a length in the trailers", "POST / HTTP/1.1|Transfer-Encoding: chunked||0|Content-Length: 9||GET /l HTTP/1.1||", flawTrailer},
	{"a folded trailer", "POST / HTTP/1.1|Transfer-Encoding: chunked||0|X: y| z||GET /l HTTP/1.1||", flawTrailer},
	{"a trailer without a name", "POST / HTTP/1.1|Transfer-Encoding: chunked||0|x||GET /l HTTP/1.1||", flawTrailer},
}

// What is not told apart goes to the application whole, with all that follows, wherever it
// is cut.
func TestUnclear(t *testing.T) {
	for _, tt := range unclear {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.ReplaceAll(tt.text, "|", "\r\n")
			cuts := []int{0, len(text) / 2, len(text)}
			if len(text) < 200 {
				cuts = cuts[:0]
				for cut := range len(text) + 1 {
					cuts = append(cuts, cut)
				}
			}
			for _, cut := range cuts {
				p := newPlay(t).start(text[:cut])
				p.act("caller says "+text[cut:], "app hears "+text, "app says anything", "caller hears anything",
					"caller says more", "app hears more", "caller closes", "app end", "app closes")
				if err := p.over(); err != nil {
					t.Errorf("cut at %d: %v", cut, err)
				}
				p.opaque(tt.reason)
			}
		})
	}
}

// TestGone: an intercept that ends takes its idle streams along, and resets what it has
// not answered.
func TestGone(t *testing.T) {
	for _, waits := range []bool{false, true} {
		p := newPlay(t).start("")
		p.act("caller says GET /l HTTP/1.1||", "laptop hears GET /l HTTP/1.1||")
		if !waits {
			p.act("laptop says HTTP/1.1 204 OK||", "caller hears HTTP/1.1 204 OK|x-intercept: blue||",
				// The next response comes once that one is complete.
				"caller says GET / HTTP/1.1||", "app hears GET / HTTP/1.1||", "app says HTTP/1.1 204 OK||", "caller hears HTTP/1.1 204 OK||")
			close(p.laptop.gone)
			p.act("laptop end")
			p.to.mu.Lock()
			p.to.others = nil
			p.to.mu.Unlock()
			p.act("caller says GET /l HTTP/1.1||", "app hears GET /l HTTP/1.1||", "app says HTTP/1.1 204 OK||", "caller hears HTTP/1.1 204 OK||")
			continue
		}
		close(p.laptop.gone)
		p.act("laptop reset", "caller reset")
		if p.over() == nil {
			t.Error("ended well")
		}
	}
}

// TestStop: the end of the context resets all.
func TestStop(t *testing.T) {
	p := newPlay(t).start("")
	p.act("caller says GET / HTTP/1.1||GET /l HTTP/1.1||", "app hears GET / HTTP/1.1||", "laptop hears GET /l HTTP/1.1||")
	p.stop()
	p.act("caller reset", "app reset", "laptop reset")
	if err := p.over(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
