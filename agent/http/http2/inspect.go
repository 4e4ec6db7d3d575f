package http2

import (
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
)

// kind is what the agent itself must know of a request.
type kind struct {
	grpc bool // its content type is one of gRPC
	head bool // its answer has no body
	// again says that the request may be sent again without harm, because its method is
	// idempotent (RFC 9110, 9.2.2).
	again bool
}

// inspect reads the fields of a request. It is not ok if the request is malformed by RFC
// 9113 (8.1.1): different servers would read different things in it.
func inspect(fields []hpack.HeaderField) (k kind, ok bool) {
	var method, scheme, path, authority, protocol, host, length *string
	once := func(at **string, f *hpack.HeaderField) bool {
		first := *at == nil
		*at = &f.Value
		return first
	}
	ok = true
	regular := false
	for i := range fields {
		f := &fields[i]
		if !httpguts.ValidHeaderFieldValue(f.Value) || strings.Trim(f.Value, " \t") != f.Value {
			ok = false
		}
		if f.IsPseudo() {
			at, known := (**string)(nil), true
			switch f.Name {
			case ":method":
				at = &method
			case ":scheme":
				at = &scheme
			case ":path":
				at = &path
			case ":authority":
				at = &authority
			case ":protocol":
				at = &protocol
			default:
				known = false
			}
			ok = ok && known && !regular && once(at, f)
			continue
		}
		regular = true
		ok = ok && validName(f.Name)
		switch f.Name {
		case "host":
			ok = ok && once(&host, f)
		case "content-length":
			ok = ok && once(&length, f) && digits(f.Value)
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			ok = false
		case "te":
			ok = ok && strings.EqualFold(f.Value, "trailers")
		case "content-type":
			k.grpc = k.grpc || strings.HasPrefix(f.Value, "application/grpc")
		}
	}
	if method == nil {
		return k, false
	}
	k.head = *method == "HEAD"
	k.again = http.Idempotent(*method)
	if *method == "CONNECT" && protocol == nil {
		return k, ok && scheme == nil && path == nil && authority != nil
	}
	ok = ok && http.IsToken(*method) && scheme != nil && path != nil &&
		(strings.HasPrefix(*path, "/") || *path == "*" && *method == "OPTIONS") && !strings.ContainsAny(*path, " #\t") &&
		(protocol == nil || *method == "CONNECT") && (host == nil || authority == nil || *host == *authority)
	return k, ok
}

// validName says whether a field may have this name: a token without capitals.
func validName(name string) bool {
	return http.IsToken(name) && !strings.ContainsFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' })
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
