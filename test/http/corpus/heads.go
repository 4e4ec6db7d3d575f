package corpus

import (
	"fmt"
	"strings"
)

// heads are header sections as they may be.
func heads() []Stream {
	return []Stream{
		{"case-of-names", "names have no case, and keep theirs on the way", "GET /echo HTTP/1.1\r\nhOsT: app\r\nX-cAsE: one\r\nACCEPT: */*\r\n\r\n"},
		{"order-of-fields", "the order of fields stays", get("/echo", "Z: 1", "A: 2", "M: 3", "A: 4")},
		{"host-last", "Host after all else", "GET /echo HTTP/1.1\r\nAccept: */*\r\nX-Case: one\r\nHost: app\r\n\r\n"},
		{"repeated-field", "a field three times", get("/echo", "X-Case: one", "X-Case: two", "x-case: three")},
		{"empty-value", "a field without a value", get("/echo", "X-Case:", "X-Empty: ")},
		{"no-space-after-colon", "the space is optional", get("/echo", "X-Case:one")},
		{"spaces-around-value", "spaces and tabs around a value, which do not belong to it", get("/echo", "X-Case: \t  one \t ")},
		{"spaces-within-value", "spaces within a value stay", get("/echo", "X-Case: one  two\tthree")},
		{"colons-in-value", "colons in a value", get("/echo", "X-Case: a:b: c")},
		{"value-8bit", "bytes above 127 in a value", get("/echo", "X-Case: \xc3\xa4\xff")},
		{"name-token-characters", "every character that a name may have", get("/echo", "X!#$%&'*+-.^_`|~9: one")},
		{"name-with-underscore", "an underscore, which some servers ignore the field for", get("/echo", "X_Case: one")},
		{"name-of-digits", "a name of digits", get("/echo", "123: one")},
		{"one-letter-name", "a name of one letter", get("/echo", "X: one")},
		{"quoted-value", "quotes and backslashes", get("/echo", `X-Case: "a\"b\\"`)},
		{"obs-fold", "a folded line (RFC 9112, 5.2)", get("/echo", "X-Case: one\r\n two")},
		{"obs-fold-tab", "a line folded with a tab", get("/echo", "X-Case: one\r\n\ttwo\r\n\t three")},
		{"obs-fold-empty", "a folded line that is empty", get("/echo", "X-Case: one\r\n ", "X-After: two")},
		{"fifty-fields", "fifty fields", get("/echo", many(50, "X-Field-%d: value")...)},
		{"two-hundred-fields", "more fields than some servers take", get("/echo", many(200, "X-Field-%d: value")...)},
		{"long-value", "a value of 4,000 bytes", get("/echo", "X-Case: "+strings.Repeat("v", 4000))},
		{"longer-value", "a value of 12,000 bytes", get("/echo", "X-Case: "+strings.Repeat("v", 12000))},
		{"longest-value", "a value of 100,000 bytes, which most servers refuse", get("/echo", "X-Case: "+strings.Repeat("v", 100000))},
		{"long-name", "a name of 1,000 bytes", get("/echo", strings.Repeat("n", 1000)+": v")},
		{"cookies", "cookies", get("/echo", "Cookie: a=1; b=2; c=\"3\"")},
		{"two-cookie-lines", "cookies in two lines", get("/echo", "Cookie: a=1", "Cookie: b=2")},
		{"trace-context", "what OpenTelemetry sends", get("/echo", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=1,b=2", "baggage: user=me;p=1,x=%20y")},
		{"browser", "as a browser asks", get("/small", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept: text/html,*/*;q=0.8", "Accept-Language: en-US,en;q=0.5",
			"Accept-Encoding: gzip, deflate, br", "Connection: keep-alive", "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Mode: navigate")},
		{"host-with-port", "a host with a port", "GET /echo HTTP/1.1\r\nHost: app:8080\r\n\r\n"},
		{"host-ipv6", "an address as host", "GET /echo HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"},
		{"host-empty", "an empty host", "GET /echo HTTP/1.1\r\nHost:\r\n\r\n"},
		{"head-by-byte", "a head that arrives byte by byte", pieces(get("/small"), 1)},
		{"head-by-three", "a head in pieces of three bytes", pieces(get("/echo", "X-Case: one", "Cookie: a=1"), 3)},
		{"head-cut-in-line-end", "a head cut between CR and LF", "GET /small HTTP/1.1\r" + cut + "\nHost: app\r" + cut + "\n\r" + cut + "\n"},
		{"head-cut-in-method", "a head cut within the method", "G" + cut + "ET /small HTTP/1.1\r\nHost: app\r\n\r\n"},
		{"empty-line-before", "one empty line before the request line (RFC 9112, 2.2)", "\r\n" + get("/small")},
		{"empty-lines-before", "three empty lines before the request line", "\r\n\r\n\r\n" + get("/small")},
		{"empty-line-between", "an empty line after a body, as old clients send it", post("/echo", "hello") + "\r\n" + get("/small")},
		{"empty-line-cut", "an empty line that arrives alone", "\r\n" + cut + get("/small")},
	}
}

func many(n int, format string) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}
