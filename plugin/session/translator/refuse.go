package translator

import (
	"fmt"
	"net/http"
	"strings"
)

// unimplemented is the status UNIMPLEMENTED of gRPC. Clients do not send a call again that
// got it.
const unimplemented = "12"

// isGRPC says whether a request is gRPC, which needs HTTP/2. The media type of gRPC-Web,
// which does not, is application/grpc-web.
func isGRPC(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")
}

// refuseGRPC answers a call as gRPC answers one without a message: by header fields only.
func (t *translator) refuseGRPC(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", unimplemented)
	h.Set("Grpc-Message", percent(t.why("gRPC")))
	h["Content-Length"] = nil
	t.doubt(h)
	w.WriteHeader(http.StatusOK)
}

// percent spells a message as gRPC wants it: printable ASCII, and all else by its bytes.
func percent(message string) string {
	var b strings.Builder
	for _, c := range []byte(message) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// refuseConnect answers CONNECT, also that of WebSockets (RFC 8441), which is not
// translated.
func (t *translator) refuseConnect(w http.ResponseWriter) {
	t.doubt(w.Header())
	http.Error(w, t.why("CONNECT in HTTP/2"), http.StatusNotImplemented)
}

// why says why a request is refused, and what to do.
func (t *translator) why(what string) string {
	p := t.program
	if p.Told {
		return fmt.Sprintf("%s cannot be translated to HTTP/1.1, which the program on the laptop at %s speaks as the intercept says: "+
			"if the program speaks HTTP/2, intercept without --local-protocol http1", what, p.Address)
	}
	return fmt.Sprintf("%s cannot be translated to HTTP/1.1, which the program on the laptop at %s speaks: "+
		"start a program there that speaks HTTP/2, without TLS (h2c) or with TLS and --local-tls", what, p.Address)
}

// failed answers a request that the program did not answer.
func (t *translator) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the caller has given up
	}
	t.doubt(w.Header())
	http.Error(w, fmt.Sprintf("The program on the laptop at %s did not answer this request in HTTP/1.1: %v.", t.program.Address, err), http.StatusBadGateway)
}

// doubt gives up what is known of the program. Once the requests that run are answered,
// the connection ends, so that the next one is for whatever is there then.
func (t *translator) doubt(h http.Header) {
	h.Set("Connection", "close")
	t.program.Doubt()
}
