package corpus

import "strings"

// smuggling are requests in which one recipient sees another request than the next.
func smuggling() []Stream {
	both := func(body string, fields ...string) string {
		return "POST /echo HTTP/1.1\r\n" + head(append([]string{"Host: app"}, fields...)...) + body
	}
	const hidden = "GET /hidden HTTP/1.1\r\nX: "
	next := get("/small")
	return []Stream{
		{"cl-te", "one counts, the next reads chunks: the hidden request follows the last chunk", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding: chunked") + next},
		{"te-cl", "one reads chunks, the next counts: the hidden request is a chunk", both("25\r\nGET /hidden HTTP/1.1\r\nX: 123456789012\r\n0\r\n\r\n", "Content-Length: 4", "Transfer-Encoding: chunked") + next},
		{"te-cl-order", "the coding before the length", both("0\r\n\r\n"+hidden, "Transfer-Encoding: chunked", "Content-Length: 30") + next},
		{"te-and-equal-cl", "a length that agrees with the chunks", both("5\r\nhello\r\n0\r\n\r\n", "Content-Length: 15", "Transfer-Encoding: chunked") + next},
		{"te-and-zero-cl", "chunks and a length of zero", both("5\r\nhello\r\n0\r\n\r\n", "Content-Length: 0", "Transfer-Encoding: chunked") + next},
		{"te-te-case", "two codings, one in other case", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding: chunked", "Transfer-encoding: identity") + next},
		{"te-te-other", "two codings, one unknown", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding: chunked", "Transfer-Encoding: cow") + next},
		{"te-space-cl", "a coding with a space before the colon, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding : chunked") + next},
		{"te-tab-cl", "a coding after a tab, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding:\tchunked") + next},
		{"te-vertical-tab-cl", "a coding after a vertical tab, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding:\vchunked") + next},
		{"te-folded-cl", "a folded coding, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding:\r\n chunked") + next},
		{"te-prefix-cl", "a coding that is nearly chunked, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding: xchunked") + next},
		{"te-leading-space-cl", "a coding in a line that begins with a space", both("0\r\n\r\n"+hidden, "Content-Length: 30", "X: 1", " Transfer-Encoding: chunked") + next},
		{"te-behind-lf-cl", "a coding behind LF alone, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "X: 1\nTransfer-Encoding: chunked") + next},
		{"te-behind-cr-cl", "a coding behind CR alone, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "X: 1\rTransfer-Encoding: chunked") + next},
		{"te-nul-cl", "a coding with NUL, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer-Encoding: chunked\x00") + next},
		{"te-underscore-cl", "a coding with an underscore, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", "Transfer_Encoding: chunked") + next},
		{"te-quoted-cl", "a coding in quotes, and a length", both("0\r\n\r\n"+hidden, "Content-Length: 30", `Transfer-Encoding: "chunked"`) + next},
		{"cl-cl-hidden", "two lengths, between which a request fits", both(hidden, "Content-Length: 0", "Content-Length: 25") + next},
		{"cl-zero-hidden", "a length of zero and a hidden request, which is just the next one", both(hidden, "Content-Length: 0") + next},
		{"cl-name-case-twice", "two lengths with names in other case", both(hidden, "Content-Length: 25", "content-length: 0") + next},
		{"get-cl-hidden", "a GET with a body that is a request", "GET /small HTTP/1.1\r\n" + head("Host: app", "Content-Length: 25") + hidden + next},
		{"head-cl-hidden", "a HEAD with a body that is a request", "HEAD /small HTTP/1.1\r\n" + head("Host: app", "Content-Length: 25") + hidden + next},
		{"te-in-trailer", "a coding in the trailer", both("0\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked") + next},
		{"trailer-bare-lf", "a trailer that ends with LF alone", both("0\r\nX: 1\n\n", "Transfer-Encoding: chunked") + next},
		{"trailer-bad-name", "a trailer field with a space before the colon", both("0\r\nX : 1\r\n\r\n", "Transfer-Encoding: chunked") + next},
		{"trailer-no-colon", "a trailer line without a colon", both("0\r\nend\r\n\r\n", "Transfer-Encoding: chunked") + next},
		{"trailer-folded", "a folded trailer field", both("0\r\nX: 1\r\n 2\r\n\r\n", "Transfer-Encoding: chunked") + next},
		{"trailer-long", "a trailer of 70,000 bytes", both("0\r\nX: "+strings.Repeat("t", 70000)+"\r\n\r\n", "Transfer-Encoding: chunked") + next},
		{"split-target", "an encoded line end in a target", get("/echo?%0d%0aX-Case:%20one") + next},
		{"split-value", "an encoded line end in a value", get("/echo", "X-Case: one%0d%0aX-More: two") + next},
		{"expect-cl-hidden", "a body that is a request, behind an expectation", both(hidden, "Content-Length: 25", "Expect: 100-continue") + next},
		{"expect-odd", "an expectation with a comma", both("hello", "Content-Length: 5", "Expect: 100-continue, more") + next},
		{"upgrade-refused-hidden", "an upgrade of an old version of WebSocket, and a request behind it", get("/small", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 777", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") + get("/hidden")},
		{"upgrade-h2c-hidden", "an upgrade to HTTP/2 without settings, and a request behind it", get("/small", "Connection: Upgrade", "Upgrade: h2c") + get("/hidden")},
	}
}

// badChunks are chunks that break RFC 9112, 7.1.
func badChunks() []Stream {
	const last = "0\r\n\r\n"
	of := func(body string) string { return chunked(body) + get("/small") }
	return []Stream{
		{"chunk-size-empty", "no size", of("\r\nhello\r\n" + last)},
		{"chunk-size-word", "a size that is no number", of("five\r\nhello\r\n" + last)},
		{"chunk-size-prefix", "a size with 0x", of("0x5\r\nhello\r\n" + last)},
		{"chunk-size-minus", "a negative size", of("-5\r\nhello\r\n" + last)},
		{"chunk-size-plus", "a size with a plus", of("+5\r\nhello\r\n" + last)},
		{"chunk-size-space-before", "a space before a size", of(" 5\r\nhello\r\n" + last)},
		{"chunk-size-space-after", "a space after a size", of("5 \r\nhello\r\n" + last)},
		{"chunk-size-tab-after", "a tab after a size", of("5\t\r\nhello\r\n" + last)},
		{"chunk-size-point", "a size with a point", of("5.0\r\nhello\r\n" + last)},
		{"chunk-size-underscore", "a size with an underscore", of("0_5\r\nhello\r\n" + last)},
		{"chunk-size-trailing", "letters after a size", of("5xyz\r\nhello\r\n" + last)},
		{"chunk-size-nul", "NUL after a size", of("5\x00\r\nhello\r\n" + last)},
		{"chunk-size-overflow-32", "more than 32 bits, 5 if they are cut", of("100000005\r\nhello\r\n" + last)},
		{"chunk-size-overflow-64", "more than 64 bits, 5 if they are cut", of("10000000000000005\r\nhello\r\n" + last)},
		{"chunk-size-max", "all bits", of("ffffffffffffffff\r\nhello\r\n" + last)},
		{"chunk-size-many-zeros", "a size of 500 digits", of(strings.Repeat("0", 499) + "5\r\nhello\r\n" + last)},
		{"chunk-line-long", "a line that does not end", of("5;" + strings.Repeat("x", 70000) + "\r\nhello\r\n" + last)},
		{"chunk-bare-lf", "LF alone after a size", of("5\nhello\r\n" + last)},
		{"chunk-bare-cr", "CR alone after a size", of("5\rhello\r\n" + last)},
		{"chunk-bare-lf-after", "LF alone after a chunk", of("5\r\nhello\n" + last)},
		{"chunk-bare-cr-after", "CR alone after a chunk", of("5\r\nhello\r" + last)},
		{"chunk-nothing-after", "no line end after a chunk", of("5\r\nhello" + last)},
		{"chunk-two-after", "other bytes in place of the line end after a chunk", of("5\r\nhelloXX" + last)},
		{"chunk-longer", "a chunk that is longer than it says", of("3\r\nhello\r\n" + last)},
		{"chunk-shorter", "a chunk that is shorter than it says", of("8\r\nhello\r\n" + last)},
		{"chunk-extension-lf", "LF alone in an extension", of("5;a\nhello\r\n" + last)},
		{"chunk-extension-cr", "CR alone in an extension", of("5;a\rb\r\nhello\r\n" + last)},
		{"chunk-extension-nul", "NUL in an extension", of("5;a\x00\r\nhello\r\n" + last)},
		{"chunk-extension-lf-hidden", "LF in an extension, behind which another size may be", of("5;\n8\r\nhello\r\n0\r\n\r\n")},
		{"chunk-last-lf", "a last chunk that ends with LF alone", of("5\r\nhello\r\n0\n\n")},
		{"chunk-last-lf-lf", "a body that ends with LF in place of the empty line", of("5\r\nhello\r\n0\r\n\n")},
		{"chunk-last-cr", "a body that ends with CR and another byte", of("5\r\nhello\r\n0\r\n\rX")},
	}
}

// foreign are the beginnings of other protocols, and what no protocol says.
func foreign() []Stream {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	const hello = "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03"
	return []Stream{
		{"tls-hello", "a client that expects TLS", hello + strings.Repeat("\x00", 32) + "\x00\x00\x02\x13\x01\x01\x00"},
		{"tls-after-http", "TLS after a request", get("/small") + after("\r\n\r\n") + hello + strings.Repeat("\x00", 39)},
		{"ssl2-hello", "a client of SSL 2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"},
		{"h2-preface", "the preface of HTTP/2", preface + settings},
		{"h2-preface-only", "the preface without settings", preface},
		{"h2-preface-half", "half of the preface", "PRI * HTTP/2.0\r\n\r\n"},
		{"h2-preface-cut", "the preface in pieces", pieces(preface, 5) + cut + settings},
		{"h2-preface-middle", "the preface after a request", get("/small") + preface + settings},
		{"h2-preface-wrong", "a preface with another ending", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings},
		{"h2-preface-frame-bad", "the preface, and bytes that are no frame", preface + "these are no frames, but text"},
		{"ssh", "a client of SSH", "SSH-2.0-OpenSSH_9.2p1\r\n"},
		{"smtp", "a client of SMTP", "EHLO app\r\n"},
		{"ftp", "a client of FTP", "USER anonymous\r\n"},
		{"redis", "a client of Redis", "*1\r\n$4\r\nPING\r\n"},
		{"postgres", "a client of PostgreSQL", "\x00\x00\x00\x08\x04\xd2\x16\x2f"},
		{"proxy-protocol", "the PROXY protocol before a request", "PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n" + get("/small")},
		{"proxy-protocol-2", "the PROXY protocol in its second version", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" + get("/small")},
		{"zeros", "zeros", strings.Repeat("\x00", 200)},
		{"ones", "bytes of ones", strings.Repeat("\xff", 200)},
		{"every-byte", "every byte once", allBytes()},
		{"text", "text without a line end", "just some text"},
		{"lines", "lines of text", "just\r\nsome\r\nlines\r\n\r\n"},
		{"line-feeds", "line ends only", strings.Repeat("\n", 100)},
		{"garbage-after", "bytes of no request after an answer", get("/small") + after("\r\n\r\n") + "\x01\x02\x03 garbage\r\n\r\n"},
		{"garbage-behind", "bytes of no request behind a request", get("/small") + "\x01\x02\x03 garbage\r\n\r\n"},
		{"json-rpc", "JSON without HTTP", `{"jsonrpc": "2.0", "method": "ping"}` + "\n"},
	}
}
