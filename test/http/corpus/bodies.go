package corpus

import "strings"

// lengths are requests with bodies of known length.
func lengths() []Stream {
	return []Stream{
		{"length-zero", "a body of no bytes", post("/echo", "") + get("/small")},
		{"length-one", "a body of one byte", post("/echo", "x") + get("/small")},
		{"length-leading-zeros", "a length with zeros before it, which digits allow", request("POST", "/echo", "hello", "Content-Length: 0005") + get("/small")},
		{"length-spaces", "spaces around a length", request("POST", "/echo", "hello", "Content-Length:   5  ") + get("/small")},
		{"length-lower-case", "a length with a name in lower case", request("POST", "/echo", "hello", "content-length: 5") + get("/small")},
		{"length-first", "a length before Host", "POST /echo HTTP/1.1\r\nContent-Length: 5\r\nHost: app\r\n\r\nhello" + get("/small")},
		{"body-like-request", "a body that looks like a request", post("/echo", get("/other")) + get("/small")},
		{"body-of-line-ends", "a body of line ends", post("/echo", "\r\n\r\n\n\n\r\r") + get("/small")},
		{"body-of-all-bytes", "a body of every byte", post("/echo", allBytes()) + get("/small")},
		{"body-of-zeros", "a body of NUL", post("/echo", strings.Repeat("\x00", 64)) + get("/small")},
		{"body-like-chunks", "a body with a length that looks like chunks", post("/echo", "5\r\nhello\r\n0\r\n\r\n") + get("/small")},
		{"body-8k", "a body that is longer than most buffers", post("/echo", strings.Repeat("b", 8193)) + get("/small")},
		{"body-100k", "a body of 100,000 bytes", post("/echo", strings.Repeat("0123456789", 10000)) + get("/small")},
		{"body-300k-early", "an answer before a long body was read", post("/early", strings.Repeat("e", 300000))},
		{"body-by-byte", "a body that arrives byte by byte", "POST /echo HTTP/1.1\r\nHost: app\r\nContent-Length: 12\r\n\r\n" + pieces("hello, world", 1) + cut + get("/small")},
		{"body-after-head", "a body that arrives after the head", "POST /echo HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\n" + cut + "hello"},
		{"body-cut-short", "a caller that ends within the body", request("POST", "/echo", "hel", "Content-Length: 5") + end},
		{"body-missing", "a caller that ends before the body", request("POST", "/echo", "", "Content-Length: 5") + end},
		{"body-pending", "a body that does not come", request("POST", "/echo", "hel", "Content-Length: 5")},
		{"post-without-length", "POST without a body and without a length", request("POST", "/echo", "") + get("/small")},
		{"form", "a form", post("/echo", "a=1&b=2", "Content-Type: application/x-www-form-urlencoded")},
		{"json", "JSON", post("/echo", `{"a": [1, 2]}`, "Content-Type: application/json")},
		{"gzip-body", "a body with a content coding", post("/echo", "\x1f\x8b\x08\x00\x00", "Content-Encoding: gzip")},
	}
}

// chunks are requests with bodies in chunks, as RFC 9112, 7.1, allows them.
func chunks() []Stream {
	const last = "0\r\n\r\n"
	return []Stream{
		{"chunks", "two chunks", chunked("5\r\nhello\r\n7\r\n, world\r\n"+last) + get("/small")},
		{"chunks-empty", "only the last chunk", chunked(last) + get("/small")},
		{"chunks-of-one", "chunks of one byte", chunked("1\r\nh\r\n1\r\ni\r\n"+last) + get("/small")},
		{"chunks-hex-upper", "a size in upper case", chunked("A\r\n0123456789\r\n"+last) + get("/small")},
		{"chunks-hex-lower", "a size in lower case", chunked("a\r\n0123456789\r\n"+last) + get("/small")},
		{"chunks-odd-sizes", "sizes at the edges of buffers", chunked("1\r\nx\r\nfff\r\n"+strings.Repeat("a", 0xfff)+"\r\n1000\r\n"+strings.Repeat("b", 0x1000)+"\r\n1001\r\n"+strings.Repeat("c", 0x1001)+"\r\n"+last) + get("/small")},
		{"chunks-leading-zeros", "a size with zeros before it", chunked("0005\r\nhello\r\n"+last) + get("/small")},
		{"chunks-long-last", "a last chunk of several zeros", chunked("5\r\nhello\r\n000\r\n\r\n") + get("/small")},
		{"chunk-extension", "an extension with a value", chunked("5;name=value\r\nhello\r\n"+last) + get("/small")},
		{"chunk-extension-bare", "an extension without a value", chunked("5;name\r\nhello\r\n0;end\r\n\r\n") + get("/small")},
		{"chunk-extension-quoted", "an extension in quotes, with a semicolon", chunked("5;name=\"a;b\"\r\nhello\r\n"+last) + get("/small")},
		{"chunk-extensions", "several extensions", chunked("5;a=1;b=2;c\r\nhello\r\n"+last) + get("/small")},
		{"chunk-extension-spaces", "spaces around an extension, which recipients accept", chunked("5 ; a = 1\r\nhello\r\n"+last) + get("/small")},
		{"chunk-extension-long", "an extension of 1,000 bytes", chunked("5;a="+strings.Repeat("x", 1000)+"\r\nhello\r\n"+last) + get("/small")},
		{"trailer", "a trailer field", chunked("5\r\nhello\r\n0\r\nX-Sum: done\r\n\r\n", "Trailer: X-Sum") + get("/small")},
		{"trailers", "trailer fields that nobody announced", chunked("5\r\nhello\r\n0\r\nX-Sum: done\r\nX-More: yes\r\n\r\n") + get("/small")},
		{"trailer-of-length", "a trailer field that would be a length", chunked("5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n") + get("/small")},
		{"chunks-te-case", "the coding has no case", request("POST", "/echo", "5\r\nhello\r\n"+last, "Transfer-Encoding: Chunked") + get("/small")},
		{"chunks-te-name-case", "the field's name has no case", request("POST", "/echo", "5\r\nhello\r\n"+last, "transfer-encoding: chunked") + get("/small")},
		{"chunks-te-spaces", "spaces around the coding", request("POST", "/echo", "5\r\nhello\r\n"+last, "Transfer-Encoding:  chunked ") + get("/small")},
		{"chunks-by-byte", "chunks that arrive byte by byte", request("POST", "/echo", "", "Transfer-Encoding: chunked") + cut + pieces("5\r\nhello\r\n2;x\r\n!!\r\n0\r\nX-Sum: done\r\n\r\n", 1) + cut + get("/small")},
		{"chunks-cut-in-size", "a size that arrives in two pieces", chunked("1"+cut+"0\r\n0123456789abcdef\r\n"+last) + get("/small")},
		{"chunks-many", "a thousand chunks", chunked(strings.Repeat("3\r\nabc\r\n", 1000)+last) + get("/small")},
		{"chunks-of-requests", "chunks that look like requests", chunked("2c\r\n"+get("/other", "X: 12345")+"\r\n"+last) + get("/small")},
		{"chunks-pending", "a last chunk that does not come", chunked("5\r\nhello\r\n")},
		{"chunks-cut-short", "a caller that ends within a chunk", chunked("5\r\nhel") + end},
		{"chunks-get", "GET with chunks", request("GET", "/echo", "5\r\nhello\r\n"+last, "Transfer-Encoding: chunked") + get("/small")},
		{"chunks-large", "one chunk of 200,000 bytes", chunked("30d40\r\n"+strings.Repeat("c", 200000)+"\r\n"+last) + get("/small")},
	}
}

func allBytes() string {
	var b []byte
	for i := range 256 {
		b = append(b, byte(i))
	}
	return string(b)
}
