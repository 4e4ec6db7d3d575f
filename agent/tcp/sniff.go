package tcp

import "bytes"

// kind is what the first bytes of a connection tell.
type kind int

const (
	unknown kind = iota // more bytes may tell
	isProbe
	isOther
)

// sniff looks for a HTTP/1 request of the kubelet: it sends GET with a
// User-Agent of its own, in one piece.
func sniff(b []byte) kind {
	const method = "GET "
	if n := min(len(b), len(method)); string(b[:n]) != method[:n] {
		return isOther
	}
	line, rest, complete := bytes.Cut(b, []byte("\r\n"))
	if !complete {
		return unknown
	}
	if !bytes.HasSuffix(line, []byte(" HTTP/1.1")) && !bytes.HasSuffix(line, []byte(" HTTP/1.0")) {
		return isOther
	}
	for {
		line, rest, complete = bytes.Cut(rest, []byte("\r\n"))
		if !complete {
			return unknown
		}
		if len(line) == 0 {
			return isOther // the end of the headers
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("User-Agent")) {
			continue
		}
		if bytes.HasPrefix(bytes.TrimSpace(value), []byte("kube-probe/")) {
			return isProbe
		}
		return isOther
	}
}
