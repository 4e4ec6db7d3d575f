package corpus

import "strings"

// doubts are lengths and codings that recipients read in different ways.
func doubts() []Stream {
	length := func(values ...string) string {
		fields := []string{"Host: app"}
		for _, v := range values {
			fields = append(fields, "Content-Length: "+v)
		}
		return "POST /echo HTTP/1.1\r\n" + head(fields...) + "hello" + get("/small")
	}
	coding := func(values ...string) string {
		fields := []string{"Host: app"}
		for _, v := range values {
			fields = append(fields, "Transfer-Encoding: "+v)
		}
		return "POST /echo HTTP/1.1\r\n" + head(fields...) + "5\r\nhello\r\n0\r\n\r\n" + get("/small")
	}
	return []Stream{
		{"length-twice-equal", "the same length in two lines (RFC 9112, 6.3)", length("5", "5")},
		{"length-list-equal", "the same length twice in one line", length("5, 5")},
		{"length-twice-other", "two lengths", length("5", "6")},
		{"length-twice-other-reversed", "two lengths, the longer first", length("6", "5")},
		{"length-list-other", "two lengths in one line", length("5, 6")},
		{"length-twice-zero", "a length and none", length("0", "5")},
		{"length-twice-empty", "a length and an empty one", length("5", "")},
		{"length-negative", "a negative length", length("-5")},
		{"length-negative-zero", "zero with a sign", length("-0")},
		{"length-plus", "a length with a plus", length("+5")},
		{"length-hex", "a length in hexadecimal", length("0x5")},
		{"length-octal", "a length that some read as octal", length("010")},
		{"length-float", "a length with a point", length("5.0")},
		{"length-exponent", "a length with an exponent", length("5e0")},
		{"length-underscore", "a length with an underscore, which Python's int takes", length("1_0")},
		{"length-word", "a length that is a word", length("five")},
		{"length-empty", "an empty length", length("")},
		{"length-trailing-word", "a length and a word", length("5 bytes")},
		{"length-two-numbers", "two numbers with a space", length("5 5")},
		{"length-comma", "a comma after a length", length("5,")},
		{"length-comma-first", "a comma before a length", length(",5")},
		{"length-quoted", "a length in quotes", length(`"5"`)},
		{"length-arabic-digits", "digits of another script", length("\xd9\xa5")},
		{"length-overflow-32", "more than 32 bits, 5 if they are cut", length("4294967301")},
		{"length-overflow-64", "more than 64 bits, 5 if they are cut", length("18446744073709551621")},
		{"length-huge", "a length of 100 digits", length(strings.Repeat("9", 100))},
		{"length-vertical-tab", "a vertical tab before a length", length("\v5")},
		{"length-nul", "NUL after a length", length("5\x00")},
		{"length-folded", "a length in a folded line", length("\r\n 5")},
		{"length-folded-second", "a second digit in a folded line", length("5\r\n 0")},
		{"length-space-before-colon", "a space before the colon of a length", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Content-Length : 5") + "hello" + get("/small")},
		{"length-underscore-name", "an underscore in the name, which CGI cannot tell apart", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Content_Length: 5") + "hello" + get("/small")},
		{"length-name-nul", "NUL after the name", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Content-Length\x00: 5") + "hello" + get("/small")},
		{"coding-unknown", "a coding that nobody knows", coding("frob")},
		{"coding-identity", "identity, which is a coding no more", coding("identity")},
		{"coding-gzip", "gzip alone: the length of the request is unknown", coding("gzip")},
		{"coding-gzip-chunked", "gzip within chunks", coding("gzip, chunked")},
		{"coding-chunked-gzip", "chunks that are not the last coding", coding("chunked, gzip")},
		{"coding-chunked-identity", "chunks and identity", coding("chunked, identity")},
		{"coding-identity-chunked", "identity and chunks", coding("identity, chunked")},
		{"coding-twice-chunked", "chunks in chunks", coding("chunked, chunked")},
		{"coding-two-lines", "chunks in two lines", coding("chunked", "chunked")},
		{"coding-two-lines-identity", "chunks and identity in two lines", coding("chunked", "identity")},
		{"coding-two-lines-unknown", "an unknown coding before chunks", coding("frob", "chunked")},
		{"coding-empty", "an empty coding", coding("")},
		{"coding-comma", "a comma after chunked", coding("chunked,")},
		{"coding-comma-first", "a comma before chunked", coding(", chunked")},
		{"coding-parameter", "chunked with a parameter", coding("chunked;q=1")},
		{"coding-quoted", "chunked in quotes", coding(`"chunked"`)},
		{"coding-single-quotes", "chunked in single quotes", coding("'chunked'")},
		{"coding-prefix", "a word that begins like chunked", coding("chunkedx")},
		{"coding-suffix", "a word that ends like chunked", coding("xchunked")},
		{"coding-vertical-tab", "a vertical tab before chunked", coding("\vchunked")},
		{"coding-form-feed", "a form feed after chunked", coding("chunked\f")},
		{"coding-nul", "NUL after chunked", coding("chunked\x00")},
		{"coding-8bit", "a byte above 127 after chunked", coding("chunked\xa0")},
		{"coding-folded", "chunked in a folded line", coding("\r\n chunked")},
		{"coding-folded-tab", "chunked after a folded tab", coding("\r\n\tchunked")},
		{"coding-space-before-colon", "a space before the colon", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Transfer-Encoding : chunked") + "5\r\nhello\r\n0\r\n\r\n" + get("/small")},
		{"coding-underscore-name", "an underscore in the name", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Transfer_Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n" + get("/small")},
		{"coding-hidden-by-lf", "a coding behind LF alone", "POST /echo HTTP/1.1\r\nHost: app\r\nX: 1\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + get("/small")},
		{"coding-hidden-by-cr", "a coding behind CR alone", "POST /echo HTTP/1.1\r\nHost: app\r\nX: 1\rTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + get("/small")},
		{"coding-http10", "chunks of HTTP/1.0, which has none (RFC 9112, 6.1)", "POST /echo HTTP/1.0\r\n" + head("Host: app", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n"},
		{"coding-http10-keep-alive", "the same on a connection that is kept", "POST /echo HTTP/1.0\r\n" + head("Host: app", "Connection: keep-alive", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n" + get("/small")},
		{"coding-connection-names-it", "Connection names the coding, to have it removed", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Connection: Transfer-Encoding", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n" + get("/small")},
		{"length-connection-names-it", "Connection names the length, to have it removed", "POST /echo HTTP/1.1\r\n" + head("Host: app", "Connection: Content-Length", "Content-Length: 5") + "hello" + get("/small")},
	}
}
