package corpus

import "strings"

// pipelines are several requests on one connection, sent without waiting.
func pipelines() []Stream {
	return []Stream{
		{"pipeline-two", "two requests at once", get("/small") + get("/empty")},
		{"pipeline-ten", "ten requests at once", strings.Repeat(get("/small"), 10)},
		{"pipeline-hundred", "a hundred requests at once", strings.Repeat(get("/empty"), 100)},
		{"pipeline-of-kinds", "requests of every kind of body", get("/small") + post("/echo", "one") + chunked("3\r\ntwo\r\n0\r\n\r\n") + request("HEAD", "/small", "") + request("OPTIONS", "/echo", "") + get("/nothing")},
		{"pipeline-after-error", "a request after one for what is not there", get("/missing") + get("/small")},
		{"pipeline-cut-anywhere", "requests cut where no request ends", pieces(get("/small")+post("/echo", "hello")+get("/empty"), 7)},
		{"pipeline-answers-large", "long answers behind one another", get("/large") + get("/small") + get("/large")},
		{"pipeline-then-end", "requests, then the end of the caller's side", get("/small") + get("/empty") + end},
		{"pipeline-close-first", "a request after one that closes the connection", get("/small", "Connection: close") + get("/empty")},
		{"one-after-another", "a request once the one before is answered", get("/small") + after("\r\n\r\n") + get("/empty") + after("\r\n\r\n") + get("/small")},
		{"posts-one-after-another", "bodies once the one before is answered", post("/echo", "one") + after("\r\n\r\n") + post("/echo", "two") + after("\r\n\r\n") + post("/echo", "three")},
		{"get-after-head", "a GET once a HEAD is answered", request("HEAD", "/large", "") + after("\r\n\r\n") + get("/small")},
		{"get-after-304", "a GET once a 304 is answered", get("/small", `If-None-Match: "small"`) + after("\r\n\r\n") + get("/empty")},
		{"pipeline-other-hosts", "requests of other hosts on one connection", get("/small") + "GET /small HTTP/1.1\r\nHost: other\r\n\r\n"},
		{"pipeline-incomplete", "a request and the beginning of another", get("/small") + "GET /em"},
		{"pipeline-incomplete-end", "the end within the second request", get("/small") + "GET /em" + end},
	}
}

// connections are requests that say how the connection goes on.
func connections() []Stream {
	old := func(fields ...string) string { return "GET /small HTTP/1.0\r\n" + head(fields...) }
	return []Stream{
		{"close", "a request that closes the connection", get("/small", "Connection: close")},
		{"close-case", "options of Connection have no case", get("/small", "Connection: CLOSE")},
		{"close-in-list", "close among others", get("/small", "Connection: foo, close")},
		{"close-in-second-line", "close in a second line", get("/small", "Connection: foo", "Connection: close")},
		{"close-post", "a body and then the end", post("/echo", "hello", "Connection: close")},
		{"keep-alive", "what HTTP/1.1 does anyway", get("/small", "Connection: keep-alive") + get("/empty")},
		{"keep-alive-and-close", "both, of which close counts", get("/small", "Connection: keep-alive, close")},
		{"keep-alive-parameters", "parameters of keep-alive", get("/small", "Connection: keep-alive", "Keep-Alive: timeout=5, max=10") + get("/empty")},
		{"proxy-connection", "a field for proxies only", get("/small", "Proxy-Connection: close") + get("/empty")},
		{"connection-names-field", "fields that Connection names go no further than one hop", get("/echo", "Connection: X-Case", "X-Case: one")},
		{"connection-empty", "an empty Connection", get("/small", "Connection:") + get("/empty")},
		{"connection-te", "TE, which asks for trailers", get("/trailers", "TE: trailers", "Connection: TE")},
		{"http10", "HTTP/1.0: the connection ends with the answer", old()},
		{"http10-host", "HTTP/1.0 with a host", old("Host: app")},
		{"http10-keep-alive", "HTTP/1.0 that keeps the connection", old("Host: app", "Connection: keep-alive") + old("Host: app")},
		{"http10-close", "HTTP/1.0 that says what it does anyway", old("Connection: close")},
		{"http10-pipeline", "a second request after HTTP/1.0", old() + old()},
		{"http10-post", "HTTP/1.0 with a body", "POST /echo HTTP/1.0\r\n" + head("Content-Length: 5") + "hello"},
		{"http10-post-no-length", "HTTP/1.0 with a body of no length, which may end with the connection", "POST /echo HTTP/1.0\r\n" + head() + "hello" + end},
		{"http10-head", "HEAD of HTTP/1.0", "HEAD /small HTTP/1.0\r\n\r\n"},
		{"http10-chunked-answer", "what has no length, for HTTP/1.0", "GET /chunked HTTP/1.0\r\n\r\n"},
		{"http10-after-http11", "HTTP/1.0 after HTTP/1.1", get("/small") + old("Host: app")},
		{"http11-after-http10", "HTTP/1.1 after HTTP/1.0 that keeps the connection", old("Host: app", "Connection: keep-alive") + get("/empty")},
		{"nothing-sent", "a caller that ends at once", end},
		{"nothing-sent-yet", "a caller that says nothing", ""},
		{"half-close", "the caller ends its side and still gets the answer", get("/small") + end},
		{"half-close-large", "the same with a long answer", get("/large", "Connection: close") + end},
		{"half-head", "the beginning of a head, and nothing more", "GET /small HTTP/1.1\r\nHost: a"},
		{"half-head-end", "the end within a head", "GET /small HTTP/1.1\r\nHost: a" + end},
	}
}

// switches are requests after which other bytes may follow, and those that wait.
func switches() []Stream {
	upgrade := get("/upgrade", "Connection: Upgrade", "Upgrade: echo")
	socket := get("/", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
	// Two frames, masked with zeros: the text "hello" and a close with code 1000.
	const frames = "\x81\x85\x00\x00\x00\x00hello\x88\x82\x00\x00\x00\x00\x03\xe8"
	expect := "POST /echo HTTP/1.1\r\n" + head("Host: app", "Content-Length: 5", "Expect: 100-continue")
	return []Stream{
		{"upgrade", "an upgrade, which those accept that know it", upgrade},
		{"upgrade-then-bytes", "bytes of the new protocol once it is accepted", upgrade + after("\r\n\r\n") + "bytes\x00\xff of another\r\n\r\nprotocol"},
		{"upgrade-bytes-early", "bytes of the new protocol before it is accepted", upgrade + "early"},
		{"upgrade-then-request", "what looks like a request after an upgrade", upgrade + after("\r\n\r\n") + get("/small")},
		{"upgrade-case", "an upgrade in other case", get("/upgrade", "connection: upgrade", "UPGRADE: echo")},
		{"upgrade-without-connection", "Upgrade that Connection does not name, which means nothing", get("/small", "Upgrade: echo") + get("/empty")},
		{"upgrade-list", "several protocols to choose from", get("/upgrade", "Connection: keep-alive, Upgrade", "Upgrade: a/1, echo, b")},
		{"upgrade-h2c", "an upgrade to HTTP/2", get("/small", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")},
		{"upgrade-tls", "an upgrade to TLS", get("/small", "Connection: Upgrade", "Upgrade: TLS/1.2") + get("/empty")},
		{"upgrade-post", "an upgrade with a body", post("/upgrade", "hello", "Connection: Upgrade", "Upgrade: echo")},
		{"websocket", "a WebSocket, and frames once it is open", socket + after("\r\n\r\n") + frames},
		{"websocket-early-frames", "frames before the WebSocket is open", socket + frames},
		{"connect", "CONNECT, whose target is a host (RFC 9112, 3.2.3)", "CONNECT app:443 HTTP/1.1\r\n" + head("Host: app:443") + after("\r\n\r\n") + "bytes of a tunnel"},
		{"connect-early", "CONNECT with bytes before it is accepted", "CONNECT app:443 HTTP/1.1\r\n" + head("Host: app:443") + "early"},
		{"connect-path", "CONNECT of a path", "CONNECT /echo HTTP/1.1\r\n" + head("Host: app") + get("/small")},
		{"connect-with-length", "CONNECT with a length", "CONNECT app:443 HTTP/1.1\r\n" + head("Host: app:443", "Content-Length: 5") + "hello" + get("/small")},
		{"expect", "a body once it is asked for", expect + after("\r\n\r\n") + "hello"},
		{"expect-not-waiting", "a body that does not wait to be asked for", expect + "hello" + get("/small")},
		{"expect-case", "the expectation has no case", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Content-Length: 5", "expect: 100-Continue") + after("\r\n\r\n") + "hello"},
		{"expect-chunked", "chunks once they are asked for", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Transfer-Encoding: chunked", "Expect: 100-continue") + after("\r\n\r\n") + "5\r\nhello\r\n0\r\n\r\n"},
		{"expect-refused", "an answer in place of 100", "POST /early HTTP/1.1\r\n" + head("Host: app", "Content-Length: 500000", "Expect: 100-continue")},
		{"expect-unknown", "an expectation that nobody knows", get("/small", "Expect: more")},
		{"expect-http10", "an expectation of HTTP/1.0, which is ignored", "POST /echo HTTP/1.0\r\n" + head("Content-Length: 5", "Expect: 100-continue") + "hello"},
		{"expect-without-body", "an expectation of a request that has no body", get("/small", "Expect: 100-continue") + get("/empty")},
	}
}

// answers are requests for each kind of answer.
func answers() []Stream {
	return []Stream{
		{"answer-empty", "no bytes", get("/empty") + get("/small")},
		{"answer-large", "1 MiB", get("/large") + get("/small")},
		{"answer-chunked", "chunks", get("/chunked") + get("/small")},
		{"answer-events", "server-sent events", get("/events", "Accept: text/event-stream") + get("/small")},
		{"answer-trailers", "a trailer", get("/trailers", "TE: trailers") + get("/small")},
		{"answer-redirect", "a redirect", get("/redirect") + get("/small")},
		{"answer-204", "an answer that never has a body", get("/nothing") + get("/small")},
		{"answer-304", "the caller has it already", get("/small", `If-None-Match: "small"`) + get("/small")},
		{"answer-304-date", "the caller has it already, by date", get("/small", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT") + get("/small")},
		{"answer-412", "a condition that does not hold", get("/small", `If-Match: "other"`) + get("/small")},
		{"answer-range", "a part", get("/small", "Range: bytes=10-19") + get("/small")},
		{"answer-range-end", "the end", get("/large", "Range: bytes=-5") + get("/small")},
		{"answer-ranges", "several parts", get("/small", "Range: bytes=0-0,2-2,1000-")},
		{"answer-range-beyond", "a part that is not there", get("/small", "Range: bytes=5000-") + get("/small")},
		{"answer-early-hints", "1xx before the answer", get("/hints") + get("/small")},
		{"answer-until-close", "an answer that ends with the connection", get("/close")},
		{"answer-until-close-then", "a request after such an answer", get("/close") + get("/small")},
		{"answer-gzip", "an answer that may be compressed", get("/small", "Accept-Encoding: gzip")},
		{"answer-early", "an answer before the body", post("/early", "hello") + get("/small")},
		{"answer-head-304", "HEAD of what the caller has", request("HEAD", "/small", "", `If-None-Match: "small"`) + get("/empty")},
		{"answer-head-missing", "HEAD of what is not there", request("HEAD", "/missing", "") + get("/empty")},
		{"answer-head-events", "HEAD of a stream", request("HEAD", "/events", "") + get("/empty")},
	}
}
